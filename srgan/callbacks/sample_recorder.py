"""Pictures of generated images on fixed noise, and one of real images to hold them against."""

import pytorch_lightning as pl
import torch

from srgan.callbacks.base import RunCallback
from srgan.data import ImageData
from srgan.networks.sampling import GRID_PURPOSE, GRID_SEED, GeneratorStatistics, generate
from srgan.training.module import AdversarialTraining
from srgan.utils.files import write_atomically
from srgan.utils.images import grid_picture

MAX_ROWS = 1_000


class SampleGridRecorder(RunCallback):
    """Writes `samples/<iteration>.png`, a square grid of the same latents every time and for every method; `real.png`.

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
        if not 1 <= rows <= MAX_ROWS:
            bound = "at least 1" if rows < 1 else f"at most {MAX_ROWS}"
            raise ValueError(f"Expected samples.rows of {bound}, found {rows}. Set samples.every 0 for no pictures.")
        self.rows = rows
        self.generator_statistics: GeneratorStatistics = generator_statistics

    def act(self, trainer: pl.Trainer, module: AdversarialTraining) -> None:
        rows = range(self.rows**2)
        self.folder.check_not_lost()
        if not self.folder.real_images.exists():
            self._write_real_images(trainer.datamodule, rows)  # type: ignore[attr-defined]
        ((images, _),) = generate(module.generator, rows, GRID_SEED, GRID_PURPOSE, len(rows), self.generator_statistics)
        picture = grid_picture(images, self.rows)
        path = self.folder.samples / f"{module.iteration:08d}.png"
        write_atomically(path, lambda file: picture.save(file, "PNG"))

    def _write_real_images(self, data: ImageData, rows: range) -> None:
        rows = range(min(len(rows), data.num_real_images("train", len(rows))))
        images = torch.cat([images for images, _ in data.real_images("train", rows)])
        picture = grid_picture(images, self.rows)
        write_atomically(self.folder.real_images, lambda file: picture.save(file, "PNG"))
