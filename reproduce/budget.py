"""How a run of the plan is split over devices, how long it takes, and what it needs."""

import pydoc
from typing import Any, NamedTuple

from reproduce.cost import INCEPTION_FLOPS, cost
from reproduce.plan import Run
from srgan.metrics.protocol import FinalProtocol
from srgan.networks import Pair
from srgan.parallel import accumulation

GPU_FLOPS = 25e12  # sustained, by assumption: a sixth of the TF32 peak of an 80 GB A100. Not measured.
GPU_GIGABYTES = 80
USABLE = 0.85  # of a GPU's memory; the rest goes to cuDNN's workspaces, fragments and the feature network


class Budget(NamedTuple):
    """One line of the plan.

    Attributes:
        micro_batch_size: images per device and forward pass.
        accumulation: micro-batches per update on each device.
        devices: GPUs that train the run together.
        iterations: of the generator.
        gpu_hours: of all devices together, training and scoring; an estimate from counted FLOPs.
        gigabytes: on each device; an estimate from counted activations.
        gigabytes_unsplit: on one device that takes the whole batch at once; an estimate likewise.
    """

    micro_batch_size: int
    accumulation: int
    devices: int
    iterations: int
    gpu_hours: float
    gigabytes: float
    gigabytes_unsplit: float

    @property
    def fits_unsplit(self) -> bool:
        """Whether one 80 GB GPU holds the whole batch without accumulation."""
        return self.gigabytes_unsplit <= USABLE * GPU_GIGABYTES


def budget(run: Run, devices: int | None = None) -> Budget:
    """Of one run; on the plan's number of devices, or another.

    Raises:
        ValueError: the batch does not divide so.
    """
    chosen = run.chosen
    devices = devices or run.devices
    micro_batch_size = chosen.get("model.micro_batch_size")
    parts = accumulation(run.batch_size, devices, micro_batch_size)
    one = cost(networks_of(chosen))
    n_dis = chosen.get("model.n_dis", 5)
    ratio = chosen.get("model.generator_batch_ratio", 2)
    iterations: int = chosen["model.iterations"]
    images = scored_images(chosen, iterations)
    flops = iterations * one.iteration_flops(run.batch_size, n_dis, ratio) + images * (
        one.sample_flops + (INCEPTION_FLOPS if chosen.get("scores.features") == "inception" else 0)
    )
    micro = run.batch_size // devices // parts
    gigabytes, unsplit = (one.peak_bytes(size, ratio) / 1e9 for size in (micro, run.batch_size))
    return Budget(micro, parts, devices, iterations, flops / GPU_FLOPS / 3600, gigabytes, unsplit)


def networks_of(chosen: dict[str, Any]) -> Pair:
    """The nets of a run, from its dotted settings; their image size is the data's."""
    prefix = "model.networks.init_args."
    sizes = {name.removeprefix(prefix): value for name, value in chosen.items() if name.startswith(prefix)}
    make = pydoc.locate(chosen["model.networks.class_path"])
    assert callable(make)
    pair: Pair = make(image_size=chosen["data.init_args.image_size"], **sizes)
    return pair


def scored_images(chosen: dict[str, Any], iterations: int) -> int:
    """Images that go through the feature network in so many iterations, real ones not counted (they are cached)."""
    every = chosen["scores.every"]
    evaluations: int = iterations // every if every else 0
    final: int = chosen.get("scores.final.num_fake_images") or 0
    within_classes: int = (chosen.get("scores.final.intra_fid_classes") or 0) * chosen.get(
        "scores.final.intra_fid_images", FinalProtocol.intra_fid_images
    )
    during: int = chosen["scores.protocol.num_fake_images"]
    return evaluations * during + final + within_classes
