"""How long a run takes: FLOPs of its nets, counted on tensors without storage, at rates that were measured.

FLOPs are those of convolutions and matrix products (a multiplication and an addition are two).
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
from torch.utils.flop_counter import FlopCounterMode

from reproduce.plan.run import BATCH_SIZE, Run
from srgan.cli.fit import RunCLI, compose
from srgan.networks import Pair
from srgan.utils.distributed import accumulation

GPU_FLOPS = 25e12  # a second, sustained, by assumption: a sixth of the TF32 peak of an 80 GB A100. Not measured.
CPU_FLOPS = 125e9  # of one core with wide nets
INCEPTION_FLOPS = 11.4e9  # of one image through the feature network


def price(run: Run, devices: int | None = None) -> tuple[str, float]:
    """How a run's batch is split (micro-batch x accumulation x devices), and hours of all devices together, estimated.

    On as many devices as it says or on others; ValueError if its batch does not divide so.
    """
    config = resolved(run)
    devices, model = devices or run.devices, config.model
    try:
        parts = accumulation(run.flat[BATCH_SIZE], devices, model.micro_batch_size)
    except ValueError as error:
        raise ValueError(f"{run.name}: {error} Set GPUS (and NODES), or choose other rows by SETTINGS.") from error
    make = pydoc.locate(model.networks.class_path)
    assert callable(make)
    flops = count(make(**vars(model.networks.init_args)))
    batch = run.flat[BATCH_SIZE]
    iteration = batch * (model.n_dis * flops.discriminator + model.generator_batch_multiplier * flops.generator)
    scored = flops.sample + (INCEPTION_FLOPS if config.scores.features == "inception" else 0)
    total = (model.iterations - run.first_iteration) * iteration + scored_images(config) * scored
    # Of one core: fitted to runs of scale mini (13 to 20 GFLOP/s), C_16-32 and C_64-32 at scale small (18 to 34, 33 to
    # 82) and iterations of A_64-128 (124), on Intel Xeon and AMD EPYC: within a factor of two of each, on a free core.
    rate = GPU_FLOPS if run.on_gpu else min(CPU_FLOPS, 13e9 * (iteration / 1e9) ** 0.45)
    hours = total / rate / 3600
    return f"{batch // devices // parts} x {parts} x {devices}", hours


class _Parser(RunCLI):
    """Reads settings as `srgan fit`, and builds nothing."""

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        self.config = Namespace(seed_everything=False)

    def instantiate_classes(self) -> None: ...


@cache
def fit_parser() -> RunCLI:
    return compose([], _Parser)


def resolved(run: Run) -> Namespace:
    """All settings of a run as `srgan fit` reads them, defaults included; read once for all constraints and seeds."""
    model = {name: value for name, value in run.settings["model"].items() if name not in ("constraint", "seed")}
    return _parsed(json.dumps(run.settings | {"model": model}))


@cache
def _parsed(settings: str) -> Namespace:
    config: Namespace = fit_parser().parser.parse_object(json.loads(settings))
    return config


def scored_images(config: Namespace) -> int:
    """Images that go through the feature network in a run, real ones not counted (they are cached)."""
    scores, final = config.scores, config.scores.final
    if not scores.every:
        return 0
    during: int = config.model.iterations // scores.every * scores.protocol.num_fake_images
    return during + (final.num_fake_images + final.intra_fid_classes * final.intra_fid_images if final else 0)


class Flops(NamedTuple):  # of one more image in a batch: what a batch of any size needs is left out
    discriminator: float  # one real and one generated image in D's update
    generator: float  # one generated image in G's update
    sample: float  # one image generated for scoring


@cache
def count(networks: Pair) -> Flops:
    with FakeTensorMode():
        small, large = _flops(networks, 4), _flops(networks, 8)
    return Flops(*((more - less) / 4 for less, more in zip(small, large, strict=True)))


def _flops(networks: Pair, batch: int) -> Flops:
    generator, discriminator = networks.build()
    z, labels = torch.empty(batch, networks.latent_dim), torch.zeros(batch, dtype=torch.int64)
    images = torch.empty(batch, 3, networks.image_size, networks.image_size)
    sample = torch.no_grad()(lambda: generator(z, labels))
    of_discriminator = _count(lambda: discriminator(images, labels) + discriminator(sample(), labels))
    discriminator.requires_grad_(False)
    return Flops(of_discriminator, _count(lambda: discriminator(generator(z, labels), labels)), _count(sample))


def _count(forward: Callable[[], Tensor]) -> float:
    with FlopCounterMode(display=False) as counter:
        result = forward()
        if result.requires_grad:
            result.sum().backward()
    return float(counter.get_total_flops())
