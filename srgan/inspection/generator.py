"""The generator of one of our checkpoints, drawn from as its run did."""

from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from srgan.callbacks.sample_recorder import GRID_PURPOSE, GRID_SEED
from srgan.checkpoints import RunCheckpoint, read_run_checkpoint, rebuild_training
from srgan.data.images import quantize
from srgan.inspection.latents import drawn_latents
from srgan.networks import Generator
from srgan.progress import Progress
from srgan.sampling import GeneratorStatistics, independent_copy


def chosen_device(name: str) -> torch.device:
    """By name; "auto" is CUDA where there is some. Streams of random numbers differ between CPU and CUDA.

    Raises:
        ValueError: there is no such device.
    """
    try:
        device = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"Expected a --device that this machine has, found '{name}': {reason}") from None
    return device


@dataclass(frozen=True)
class StoredGenerator:
    """A generator with what its run says about drawing from it.

    Attributes:
        checkpoint: that it is from.
        generator: on its device.
    """

    checkpoint: RunCheckpoint
    generator: Generator

    @classmethod
    def read(cls, path: Path, device: torch.device, allowed: Collection[str] = ()) -> "StoredGenerator":
        """Rebuilds the generator of a checkpoint of `srgan fit`, whose settings name srgan's classes or `allowed` ones.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it is another file or of another version, names other classes, or its weights are not finite.
        """
        checkpoint = read_run_checkpoint(path, allowed)
        return cls(checkpoint, rebuild_training(checkpoint).generator.to(device).requires_grad_(False))

    @property
    def device(self) -> torch.device:
        return next(self.generator.parameters()).device

    @property
    def pixels(self) -> int:
        """H = W of its images."""
        size: int = self.checkpoint.config["model"]["networks"]["init_args"]["image_size"]
        return size

    @property
    def grid_settings(self) -> dict[str, Any]:
        """Of the run's sample grids: "rows", "generator_statistics"."""
        settings: dict[str, Any] = self.checkpoint.config["samples"]
        return settings

    def network(self) -> Generator:
        """A copy to draw single images from.

        Where the run's grids take batch statistics, it keeps those of the run's own grid, since the images of a walk
        are not a batch like those in training.
        """
        if self.grid_settings["generator_statistics"] == "batch":
            return frozen_on(self.generator, *self.grid_latents(self.grid_settings["rows"] ** 2))
        return self.batch_network(None)

    def batch_network(self, statistics: GeneratorStatistics | None) -> Generator:
        """A copy to draw whole batches from; None: with the batch norm statistics of the run's grids."""
        return independent_copy(self.generator, statistics or self.grid_settings["generator_statistics"])

    def grid_latents(self, count: int, seed: int = GRID_SEED, threshold: float | None = None) -> tuple[Tensor, Tensor]:
        """z `[count, d]` and classes `[count]` of the first images of the run's grids, or of another seed."""
        return drawn_latents(self.generator, range(count), self.device, seed, GRID_PURPOSE, threshold)


@torch.no_grad()
def render(network: Generator, z: Tensor, labels: Tensor, batch_size: int) -> Tensor:
    """Images `[B, 3, H, W]` uint8 of z `[B, d]` and labels `[B]`, as they are scored."""
    parts = []
    with Progress("images", len(z)) as progress:
        for some_z, some_labels in zip(z.split(batch_size), labels.split(batch_size), strict=True):
            parts.append(quantize(network(some_z, some_labels)).cpu())
            progress.update(len(some_z))
    return torch.cat(parts)


@torch.no_grad()
def frozen_on(generator: Generator, z: Tensor, labels: Tensor) -> Generator:
    """A copy in test mode whose batch norms keep the statistics of one batch.

    So images that come in odd company, such as those of a walk, look as they do in that batch.
    """
    watched, frozen = independent_copy(generator, "batch"), independent_copy(generator, "running")
    for layer, kept in zip(watched.modules(), frozen.modules(), strict=True):
        if isinstance(kept, nn.BatchNorm2d):
            layer.register_forward_hook(partial(_keep_statistics, kept))
    watched(z, labels)
    return frozen


def _keep_statistics(kept: nn.BatchNorm2d, _: nn.Module, inputs: tuple[Tensor], __: Tensor) -> None:
    """Those that the batch was normalized by, which the running averages would be a mixture of."""
    assert kept.running_mean is not None
    assert kept.running_var is not None
    kept.running_mean.copy_(inputs[0].mean(dim=(0, 2, 3)))
    kept.running_var.copy_(inputs[0].var(dim=(0, 2, 3), unbiased=False))
