"""Settings of a run in plain words."""

from collections.abc import Mapping
from typing import Any

SUMMARY = {
    "data.class_path": "data",
    "data.init_args.batch_size": "batch",
    "data.init_args.image_size": "image size",
    "model.networks.init_args.discriminator_channels": "D channels",
    "model.networks.init_args.generator_channels": "G channels",
    "model.loss": "loss",
    "model.n_dis": "D updates per iteration",
    "model.seed": "seed",
}


def summary(flat: Mapping[str, Any]) -> list[list[str]]:
    """The few settings that tell one run from the next: name and value.

    Args:
        flat: settings by dotted name.
    """
    found = {name: flat[key] for key, name in SUMMARY.items() if flat.get(key) is not None}
    if "data" in found:
        found["data"] = str(found["data"]).rpartition(".")[2].removesuffix("Data")
    return [[name, str(value)] for name, value in found.items()]
