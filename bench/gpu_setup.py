"""What the parts of `make gpu-check` share: sizes, and training that is watched, on digits and random images."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytorch_lightning as pl
import torch
from PIL import Image

from srgan.data import DigitsData
from srgan.networks import ResNetPair
from srgan.training.module import AdversarialTraining, optimizer_steps
from srgan.utils import randomness

Net = tuple[int, int]


@dataclass(frozen=True)
class Setup:
    """How much is done, and where.

    Attributes:
        device: that is checked.
        image_size: of the 32 x 32 nets.
        batch_size: of D in speed.
        wide: channels of D and G in speed; those of A_64-128.
        narrow: of both where numbers are compared.
        warm_up: iterations before those that are timed.
        timed: iterations.
        scored: generated images.
        pyramid: size and ch of the ImageNet nets.
    """

    device: torch.device
    image_size: int = 32
    batch_size: int = 64
    wide: Net = (128, 256)
    narrow: Net = (32, 32)
    warm_up: int = 10
    timed: int = 30
    scored: int = 500
    pyramid: Net = (128, 64)

    @property
    def on_gpu(self) -> bool:
        return self.device.type == "cuda"

    def pair(self, channels: Net) -> ResNetPair:
        """The 32 x 32 nets with so many channels of D and G."""
        return ResNetPair(self.image_size, generator_channels=channels[1], discriminator_channels=channels[0])

    def wait(self) -> None:
        """Until the device has done what it was given."""
        if self.on_gpu:
            torch.cuda.synchronize()


def tiny(device: torch.device) -> Setup:
    """Every part on a CPU in seconds."""
    return Setup(device, 8, 4, (4, 4), (4, 4), warm_up=1, timed=2, scored=40, pyramid=(16, 2))


def train(
    setup: Setup,
    networks: ResNetPair,
    iterations: int,
    n_dis: int = 5,
    batch_size: int | None = None,
    callbacks: Sequence[pl.Callback] = (),
    checkpoint: Path | None = None,
    trainer: dict[str, Any] | None = None,
    data: Any = None,
    **options: Any,
) -> AdversarialTraining:
    """Some iterations; `trainer` are settings of Lightning's, options those of `AdversarialTraining`."""
    for noise in ("pytorch_lightning", "lightning_fabric", "lightning.fabric"):
        logging.getLogger(noise).setLevel(logging.ERROR)
    module = AdversarialTraining(networks, iterations=10_000, n_dis=n_dis, **options)
    data = data or DigitsData(networks.image_size, batch_size or setup.batch_size, n_dis)
    settings: dict[str, Any] = {"devices": 1, "benchmark": False, "deterministic": False} | (trainer or {})
    pl.Trainer(
        accelerator="gpu" if setup.on_gpu else "cpu", max_steps=optimizer_steps(iterations, n_dis), max_epochs=-1,
        callbacks=list(callbacks), logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, use_distributed_sampler=False, **settings,
    ).fit(module, datamodule=data, ckpt_path=checkpoint, weights_only=True)  # fmt: skip
    return module


class Timing(pl.Callback):
    """Seconds of an iteration after the warm-up, and how long the first one took.

    Attributes:
        seconds: of an iteration, on average.
        first: seconds until the first iteration was done.
        peak: bytes on the GPU.
    """

    def __init__(self, setup: Setup) -> None:
        self.sizes = setup
        self.began = self.started = time.perf_counter()
        self.done = 0
        self.seconds = self.first = 0.0
        self.peak = 0

    @property
    def iterations(self) -> int:
        """To train for."""
        return self.sizes.warm_up + self.sizes.timed

    def on_train_batch_end(self, *_: Any) -> None:
        self.done += 1
        if self.done in (1, self.sizes.warm_up, self.iterations):
            self.sizes.wait()
            now = time.perf_counter()
            self.first = self.first or now - self.began
            if self.done == self.sizes.warm_up:
                self.started = now
                if self.sizes.on_gpu:
                    torch.cuda.reset_peak_memory_stats()
            self.seconds = (now - self.started) / self.sizes.timed
            self.peak = torch.cuda.max_memory_allocated() if self.sizes.on_gpu else 0


@contextmanager
def convolutions_in(precision: str) -> Iterator[None]:
    """Float32 convolutions of a GPU in "tf32" or "ieee"."""
    flags: Any = torch.backends.cudnn  # whose types leave out its newer flags, of torch 2.9
    holder, name, value = (
        (flags.conv, "fp32_precision", precision) if hasattr(flags, "conv")
        else (flags, "allow_tf32", precision == "tf32")
    )  # fmt: skip
    before = getattr(holder, name)
    setattr(holder, name, value)
    try:
        yield
    finally:
        setattr(holder, name, before)


@contextmanager
def drawn_on_the_cpu() -> Iterator[None]:
    """Random numbers are the CPU's on every device, whose streams else differ: what is computed can be compared."""

    def moved(draw: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
        def drawn(*size: Any, device: Any = None, **settings: Any) -> torch.Tensor:
            return draw(*size, **settings).to(device or "cpu")

        return drawn

    generator = torch.Generator
    with (
        patch.object(randomness, "ROWS_PER_GENERATOR", randomness.ROWS_PER_GENERATOR_ON_CPU),
        patch.object(torch, "Generator", lambda device="cpu": generator()),
        patch.object(torch, "rand", moved(torch.rand)),
        patch.object(torch, "randn", moved(torch.randn)),
    ):
        yield


def random_images(folder: Path, count: int, size: int) -> Path:
    """PNGs of random bytes in three classes: `<class>/<image>`."""
    pixels = np.random.default_rng(0).integers(0, 256, (count, size, size, 3), dtype=np.uint8)
    for k in range(count):
        path = folder / f"class {k % 3}" / f"{k:05d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels[k]).save(path)
    return folder
