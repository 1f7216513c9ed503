"""Pictures of generated images on fixed noise."""

import pytorch_lightning as pl
import torch
from PIL import Image
from torchvision.utils import make_grid

from srgan.callbacks.clock import RunCallback
from srgan.files import write_atomically
from srgan.sampling import GeneratorStatistics, generate
from srgan.training import AdversarialTraining

SMALLEST_TILE = 64  # pixels; smaller images are enlarged by whole factors, so that a person can see them


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
        self.rows = rows
        self.generator_statistics: GeneratorStatistics = generator_statistics

    def act(self, trainer: pl.Trainer, module: AdversarialTraining) -> None:
        count = self.rows**2
        statistics = self.generator_statistics
        ((images, _),) = generate(module.generator, range(count), 0, "grid", count, statistics)
        factor = max(1, SMALLEST_TILE // images.shape[-1])
        enlarged = images.cpu().repeat_interleave(factor, dim=2).repeat_interleave(factor, dim=3)
        grid = make_grid(enlarged.float(), nrow=self.rows, padding=2, pad_value=255).to(torch.uint8)
        picture = Image.fromarray(grid.permute(1, 2, 0).numpy())
        path = self.folder.samples / f"{module.iteration:08d}.png"
        write_atomically(path, lambda file: picture.save(file, "PNG"))
