"""What a run costs, counted and not timed: arithmetic and memory of its nets, on tensors without storage.

FLOPs are those of convolutions and matrix products (a multiplication and an addition are two), bytes those of
the activations that the backward pass keeps. Constraints and batch norms add some percent of time on a CPU, where that
was measured (docs/speed.md); on a GPU, where launches of many small kernels count, they may add as much again.
"""

import json
import pydoc
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import torch
from jsonargparse import Namespace
from pytorch_lightning.cli import ArgsType, LightningArgumentParser
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from reproduce.plan.run import Run
from srgan.cli.fit import RunCLI, compose
from srgan.networks import Pair
from srgan.utils.distributed import accumulation

GPU_FLOPS = 25e12  # a second, sustained, by assumption: a sixth of the TF32 peak of an 80 GB A100. Not measured.
CPU_FLOPS = 1e10  # of one core, by assumption: narrow nets and their scores reach no more
BYTES_PER_PARAMETER = 16  # float32 weight, gradient and Adam's two moments
INCEPTION_FLOPS = 11.4e9  # of one image through the feature network
BATCHES = (4, 8)  # counted, and scaled linearly


class Counts(NamedTuple):
    """Of one image.

    Attributes:
        parameters: of both nets, whatever the batch.
        discriminator_flops: one real and one generated image in D's update.
        generator_flops: one generated image in G's update.
        sample_flops: one image generated for scoring.
        discriminator_bytes: activations kept for that pair of images in D's update.
        generator_bytes: activations kept for that image in G's update.
    """

    parameters: int
    discriminator_flops: float
    generator_flops: float
    sample_flops: float
    discriminator_bytes: float
    generator_bytes: float


class Price(NamedTuple):
    """What a run takes.

    Attributes:
        micro_batch_size: images per device and forward pass.
        accumulation: micro-batches per update on each device.
        devices: processes that train the run together.
        iterations: of the generator.
        hours: of all devices together, training and scoring; an estimate from counted FLOPs.
        gigabytes: on each device; an estimate from counted activations.
    """

    micro_batch_size: int
    accumulation: int
    devices: int
    iterations: int
    hours: float
    gigabytes: float

    @property
    def split(self) -> str:
        """Micro-batch x accumulation x devices: the batch."""
        return f"{self.micro_batch_size} x {self.accumulation} x {self.devices}"


def price(run: Run, devices: int | None = None) -> Price:
    """Of one run, on as many devices as it says or on others.

    Raises:
        ValueError: the batch does not divide so; the message names the run.
    """
    config = resolved(run)
    devices, model = devices or run.devices, config.model
    try:
        parts = accumulation(run.batch_size, devices, model.micro_batch_size)
    except ValueError as error:
        raise ValueError(f"{run.name}: {error} Set GPUS (and NODES), or choose other rows by SETTINGS.") from error
    counts = count(networks_of(config))
    pairs, fakes = run.batch_size * model.n_dis, run.batch_size * model.generator_batch_multiplier
    iteration = pairs * counts.discriminator_flops + fakes * counts.generator_flops
    scored = counts.sample_flops + (INCEPTION_FLOPS if config.scores.features == "inception" else 0)
    begin = run.first_iteration
    flops = (model.iterations - begin) * iteration + scored_images(config) * scored
    micro = run.batch_size // devices // parts
    graph = max(counts.discriminator_bytes, model.generator_batch_multiplier * counts.generator_bytes)
    gigabytes = (BYTES_PER_PARAMETER * counts.parameters + micro * graph) / 1e9
    hours = flops / (GPU_FLOPS if run.on_gpu else CPU_FLOPS) / 3600
    return Price(micro, parts, devices, model.iterations, hours, gigabytes)


class _Parser(RunCLI):
    """`srgan fit`'s reading of settings: nothing is built."""

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        self.config = Namespace(seed_everything=False)

    def instantiate_classes(self) -> None: ...


def resolved(run: Run) -> Namespace:
    """All settings of a run as `srgan fit` reads them, defaults included; read once for all constraints and seeds."""
    model = {name: value for name, value in run.settings["model"].items() if name not in ("constraint", "seed")}
    return _parsed(json.dumps(run.settings | {"model": model}))


@cache
def _parsed(settings: str) -> Namespace:
    config: Namespace = fit_parser().parser.parse_object(json.loads(settings))
    return config


@cache
def fit_parser() -> RunCLI:
    return compose([], _Parser)


def networks_of(config: Namespace) -> Pair:
    """The nets of resolved settings."""
    make = pydoc.locate(config.model.networks.class_path)
    assert callable(make)
    pair: Pair = make(**vars(config.model.networks.init_args))
    return pair


def scored_images(config: Namespace) -> int:
    """Images that go through the feature network in a run, real ones not counted (they are cached)."""
    scores = config.scores
    if not scores.every:
        return 0
    during: int = config.model.iterations // scores.every * scores.protocol.num_fake_images
    final = scores.final
    return during + (final.num_fake_images + final.intra_fid_classes * final.intra_fid_images if final else 0)


@cache
def count(networks: Pair) -> Counts:
    """Counts one update of each player: what more images cost, so that what a batch of any size needs is left out."""
    with FakeTensorMode():
        small, large = (_counts(networks, batch) for batch in BATCHES)
        parameters = sum(parameter.numel() for net in networks.build() for parameter in net.parameters())
    more = BATCHES[1] - BATCHES[0]
    of_an_image = [(after - before) / more for before, after in zip(small, large, strict=True)]
    return Counts(parameters, *of_an_image)


def _counts(networks: Pair, batch: int) -> list[float]:
    """FLOPs and bytes of `Counts`, for a whole batch."""
    generator, discriminator = networks.build()
    z, labels = torch.empty(batch, networks.latent_dim), torch.zeros(batch, dtype=torch.int64)
    images = torch.empty(batch, 3, networks.image_size, networks.image_size)

    def sample() -> Tensor:
        with torch.no_grad():
            fake: Tensor = generator(z, labels)
            return fake

    sample_flops, _ = _count(sample)
    of_discriminator = _count(lambda: discriminator(images, labels) + discriminator(sample(), labels))
    discriminator.requires_grad_(False)
    of_generator = _count(lambda: discriminator(generator(z, labels), labels))
    flops, kept = zip(of_discriminator, of_generator, strict=True)
    return [*flops, sample_flops, *kept]


def _count(forward: Callable[[], Tensor]) -> tuple[float, float]:
    """FLOPs of a forward (and backward) pass, and the bytes of its saved activations, each storage once."""
    kept: dict[int, Tensor] = {}

    def note(tensor: Tensor) -> Tensor:
        if not isinstance(tensor, torch.nn.Parameter):
            kept[tensor.untyped_storage()._cdata] = tensor
        return tensor

    with FlopCounterMode(display=False) as counter, saved_tensors_hooks(note, lambda tensor: tensor):
        result = forward()
        if result.requires_grad:
            result.sum().backward()
    return float(counter.get_total_flops()), float(sum(tensor.untyped_storage().nbytes() for tensor in kept.values()))
