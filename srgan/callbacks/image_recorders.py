"""Record generated images on fixed noise, and what D says of training, test and generated ones: where it overfits."""

import copy
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from srgan.callbacks.base import RunCallback
from srgan.data.image_data import ImageData, Split
from srgan.networks import Generator
from srgan.networks.sampling import GRID_PURPOSE, GRID_SEED, GeneratorStatistics, generate
from srgan.training.module import AdversarialTraining
from srgan.utils.files import write_atomically
from srgan.utils.images import dequantize, grid_picture
from srgan.utils.randomness import counter_rows

MAX_ROWS = 1_000
BATCH_SIZE = 250


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
        self.folder.check_not_lost()
        count = self.rows**2
        if not self.folder.real_images.exists():
            data: ImageData = trainer.datamodule  # type: ignore[attr-defined]
            rows = range(min(count, data.num_real_images("train", count)))
            self._write(torch.cat([images for images, _ in data.real_images("train", rows)]), self.folder.real_images)
        rows, statistics = range(count), self.generator_statistics
        ((images, _),) = generate(module.generator, rows, GRID_SEED, GRID_PURPOSE, count, statistics)
        self._write(images, self.folder.samples / f"{module.iteration:08d}.png")

    def _write(self, images: Tensor, path: Path) -> None:
        picture = grid_picture(images, self.rows)
        write_atomically(path, lambda file: picture.save(file, "PNG"))


class DiscriminatorOutputRecorder(RunCallback):
    """Appends D's outputs on fixed training, test and generated images to `outputs.bin` (Section IV-C, Fig. 11).

    D works in evaluation mode and in float32 on a copy. Real images carry dequantization noise as in training, the
    same every time; generated ones are those of fixed latents. A data set without a test split has two kinds.

    Args:
        every: iterations between two records.
        images: images of each kind; fewer where a split has fewer.
        generator_statistics: "running" (test mode) or "batch".
    """

    def __init__(
        self, every: int = 1_000, images: int = 1_000, generator_statistics: GeneratorStatistics = "running"
    ) -> None:
        super().__init__(every)
        if images < 1:
            raise ValueError(f"Expected images of at least 1, found {images}.")
        self.images = images
        self.generator_statistics: GeneratorStatistics = generator_statistics

    def check_possible(self, generator: Generator, data: ImageData) -> None:
        """Reads the test split before training starts; ValueError if it has classes unknown to a conditional pair."""
        if not self.every or not data.has_test_split:
            return
        largest = int(data.labels("test").max())
        if generator.num_classes and largest >= generator.num_classes:
            raise ValueError(
                f"Expected test images of the {generator.num_classes} training classes, found class {largest}. Remove "
                "what training never sees from the test split, or set --outputs.every 0."
            )

    def act(self, trainer: pl.Trainer, module: AdversarialTraining) -> None:
        data: ImageData = trainer.datamodule  # type: ignore[attr-defined]
        splits: list[Split] = ["train", "test"] if data.has_test_split else ["train"]
        rows = range(min(data.num_real_images(split, self.images) for split in splits))
        discriminator = copy.deepcopy(module.discriminator).eval()

        @torch.no_grad()
        def outputs(batches: Iterator[tuple[Tensor, Tensor]]) -> np.ndarray:
            scores = [discriminator(x.to(module.device), labels.to(module.device)) for x, labels in batches]
            return torch.cat(scores).float().cpu().numpy()

        fake = generate(module.generator, rows, 0, "outputs", BATCH_SIZE, self.generator_statistics, quantized=False)
        kinds = {split: outputs(_as_in_training(data, split, rows)) for split in splits}
        self.folder.append_outputs(module.iteration, kinds | {"generated": outputs(fake)})


def _as_in_training(data: ImageData, split: Split, rows: range) -> Iterator[tuple[Tensor, Tensor]]:
    """Real images `[B, 3, H, W]` in [-1, 1] and labels."""
    start = rows.start
    for images, labels in data.real_images(split, rows, BATCH_SIZE):
        batch = range(start, start + len(images))
        noise = counter_rows(torch.rand, batch, tuple(images.shape[1:]), images.device, 0, f"dequantize {split}")
        yield dequantize(images, noise), labels
        start = batch.stop
