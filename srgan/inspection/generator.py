"""The generator of one of our checkpoints, and the sample grid that its run drew."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from srgan.callbacks.samples import GRID_PURPOSE, GRID_SEED
from srgan.checkpoints import RunCheckpoint, read_run_checkpoint, rebuild_training
from srgan.inspection.drawing import frozen_on, render
from srgan.inspection.latents import drawn_latents
from srgan.networks import Generator
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
    def read(cls, path: Path, device: torch.device) -> "StoredGenerator":
        """Rebuilds the generator of a checkpoint of `srgan fit`.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it is another file, or of another version.
        """
        checkpoint = read_run_checkpoint(path)
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

    def network(self, statistics: GeneratorStatistics | None, alone: bool) -> Generator:
        """A copy to draw from.

        Args:
            statistics: of batch norm; None: those of the run's grids.
            alone: the images are not a batch like those in training: "batch" then keeps the statistics of the run's
                own grid.
        """
        statistics = statistics or self.grid_settings["generator_statistics"]
        if statistics == "batch" and alone:
            return frozen_on(self.generator, *self.grid_latents(self.grid_settings["rows"] ** 2))
        return independent_copy(self.generator, statistics)

    def grid_latents(self, count: int, seed: int = GRID_SEED, threshold: float | None = None) -> tuple[Tensor, Tensor]:
        """z `[count, d]` and classes `[count]` of the first images of the run's grids, or of another seed."""
        return drawn_latents(self.generator, range(count), self.device, seed, GRID_PURPOSE, threshold)

    def grid(self, rows: int | None = None) -> Tensor:
        """The images `[rows * rows, 3, H, W]` uint8 that the run's grid shows at the checkpoint's iteration."""
        rows = rows or self.grid_settings["rows"]
        return render(self.network(None, alone=False), *self.grid_latents(rows**2), batch_size=rows**2)
