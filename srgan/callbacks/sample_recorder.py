"""Pictures of generated images on fixed noise."""

import pytorch_lightning as pl
import torch
from PIL import Image
from torch import Tensor
from torchvision.utils import make_grid

from srgan.callbacks.clock import RunCallback
from srgan.files import write_atomically
from srgan.sampling import GRID_PURPOSE, GRID_SEED, GeneratorStatistics, generate
from srgan.training import AdversarialTraining

SMALLEST_TILE = 64  # pixels; smaller images are enlarged by whole factors, so that a person can see them
MOST_ROWS = 1_000
PADDING = 2  # pixels around each


class SampleGrids(RunCallback):
    """Writes `samples/<iteration>.png`: a square grid, the same latents every time and for every method.

    Args:
        every: iterations between two pictures.
        rows: images per side.
        generator_statistics: "running" (test mode) or "batch".
    """

    at_start = True

    def __init__(
        self, every: int = 1_000, rows: int = 8, generator_statistics: GeneratorStatistics = "running"
    ) -> None:
        super().__init__(every)
        if not 1 <= rows <= MOST_ROWS:
            bound = "at least 1" if rows < 1 else f"at most {MOST_ROWS}"
            raise ValueError(f"Expected samples.rows of {bound}, found {rows}. Set samples.every 0 for no pictures.")
        self.rows = rows
        self.generator_statistics: GeneratorStatistics = generator_statistics

    def act(self, trainer: pl.Trainer, module: AdversarialTraining) -> None:
        rows = range(self.rows**2)
        ((images, _),) = generate(module.generator, rows, GRID_SEED, GRID_PURPOSE, len(rows), self.generator_statistics)
        picture = grid_picture(images, self.rows)
        path = self.folder.samples / f"{module.iteration:08d}.png"
        write_atomically(path, lambda file: picture.save(file, "PNG"))


def grid_picture(images: Tensor, columns: int) -> Image.Image:
    """Images `[B, 3, H, W]` uint8 as one picture, rows filled one after the other, small ones enlarged."""
    factor = max(1, SMALLEST_TILE // images.shape[-1])
    enlarged = images.cpu().repeat_interleave(factor, dim=2).repeat_interleave(factor, dim=3)
    grid = make_grid(enlarged.float(), nrow=columns, padding=PADDING, pad_value=255).to(torch.uint8)
    return Image.fromarray(grid.permute(1, 2, 0).numpy())
