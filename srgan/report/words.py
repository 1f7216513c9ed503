"""Settings of a run in plain words."""

from collections.abc import Mapping
from typing import Any

from srgan.runs import METHOD_NAMES

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


def method_words(config: Mapping[str, Any]) -> dict[str, str]:
    """A method's short name and what it does, from the settings of its constraint."""
    constraint = config.get("model", {}).get("constraint") or {}
    name = str(constraint.get("class_path", "")).rpartition(".")[2]
    settings = constraint.get("init_args") or {}
    if name == "Unconstrained":
        return {"short": METHOD_NAMES[name], "long": "no constraint on the discriminator; its spectra are only watched"}
    if name == "SpectralNormalization":
        return {
            "short": METHOD_NAMES[name],
            "long": "spectral normalization: each discriminator weight divided by its σ₁",
        }
    if name == "StaticRegularization":
        fraction = settings.get("compensated_fraction", 0.5)
        short = METHOD_NAMES[name] + ("" if fraction == 0.5 else f", i = {fraction:g} N")
        return {
            "short": short,
            "long": "static spectral regularization: the first "
            f"i = {fraction:g} N singular values raised to σ₁{_when(settings)}",
        }
    if name == "DynamicRegularization":
        return {
            "short": METHOD_NAMES[name],
            "long": f"dynamic spectral regularization: no σₖ/σ₁ falls below its largest so far{_when(settings)}",
        }
    return {"short": name or "unknown", "long": f"constraint {name}" if name else "its constraint is not recorded"}


def _when(settings: Mapping[str, Any]) -> str:
    """When a projection acts."""
    if settings.get("form") == "reparametrize":
        return ", in every forward pass"
    schedule = settings.get("schedule") or {}
    every, start = schedule.get("every_iterations", 5), schedule.get("start_iteration", 0)
    words = f", every {every} iterations" if every != 1 else ", every iteration"
    return words + (f" from {start:,} on" if start else "")


def summary(flat: Mapping[str, Any]) -> list[list[str]]:
    """The few settings that tell one run from the next: name and value.

    Args:
        flat: settings by dotted name.
    """
    found = {name: flat[key] for key, name in SUMMARY.items() if flat.get(key) is not None}
    if "data" in found:
        found["data"] = str(found["data"]).rpartition(".")[2].removesuffix("Data")
    return [[name, str(value)] for name, value in found.items()]
