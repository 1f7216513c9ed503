"""Stacked digits: the embedded data set, real handwriting without a download."""

from collections.abc import Iterator
from functools import cached_property, partial

import torch
from sklearn.datasets import load_digits
from torch import Tensor
from torch.nn.functional import interpolate

from srgan.data.image_data import ImageData, LabelledImages, Split
from srgan.utils.randomness import counter_generator, counter_rows

NUM_TRAINING_DIGITS = 1_500


class DigitsData(ImageData):
    """scikit-learn's 1,797 handwritten digits, three drawn at random as the R, G, B channels of one image.

    1,000 modes, one per three-digit number, nearly uniform. The digits are 8 x 8 with 17 grey levels
    (UCI optical recognition of handwritten digits); larger images are bilinear. Training draws from the first
    1,500 digits; test stacks are made of the others, which come from other writers for the most part.

    Args:
        image_size: 8, 16, 32, 64 or 128.
        batch_size: the discriminator's global batch.
        n_dis: discriminator updates per iteration.
        seed: Random seed of the draws and of the dequantization noise.
    """

    name, title = "stacked-digits", "stacked digits"
    image_sizes = (8, 16, 32, 64, 128)
    num_classes = 10
    num_modes = 1_000

    def __init__(self, image_size: int = 16, batch_size: int = 16, n_dis: int = 5, seed: int = 0) -> None:
        super().__init__(image_size, batch_size, n_dis, seed)

    @cached_property
    def _digits(self) -> LabelledImages:
        digits = load_digits()
        images = torch.from_numpy(digits.images).float().mul(255 / 16)[:, None]
        if self.image_size != 8:
            images = interpolate(images, size=self.image_size, mode="bilinear", align_corners=False)
        return LabelledImages(images.round().clamp(0, 255).to(torch.uint8), torch.from_numpy(digits.target))

    def load(self, split: Split) -> LabelledImages:
        """The single digits of a split, `[1500, 1, H, W]` or `[297, 1, H, W]`, of which its stacks are drawn."""
        part = slice(NUM_TRAINING_DIGITS) if split == "train" else slice(NUM_TRAINING_DIGITS, None)
        return LabelledImages(self._digits.images[part], self._digits.labels[part])

    @property
    def num_labels(self) -> int:
        """Batches are labelled by mode."""
        return self.num_modes

    @property
    def key(self) -> str:
        """The digits are part of scikit-learn."""
        return f"{self.name}-{self.image_size}-of-{NUM_TRAINING_DIGITS}"

    def draw(self, iteration: int, rows: Tensor) -> LabelledImages:
        generator = counter_generator("cpu", self.seed, "stacks", iteration)
        drawn = torch.randint(self.num_images("train"), (self.n_dis * self.batch_size, 3), generator=generator)
        return self._stack("train", drawn[rows])

    def _stack(self, split: Split, triples: Tensor) -> LabelledImages:
        """Indices of digits `[n, 3]` -> images `[n, 3, H, W]` uint8 and their modes `[n]` in [0, 1000)."""
        return LabelledImages(self.load(split).images[triples].squeeze(2), self._modes(split, triples))

    def _modes(self, split: Split, triples: Tensor) -> Tensor:
        return (self.labels(split)[triples] * torch.tensor([100, 10, 1])).sum(dim=1)

    def real_images(self, split: Split, rows: range, batch_size: int = 500) -> Iterator[LabelledImages]:
        """Stacks that every run shares, whatever its seed."""
        for start in range(rows.start, rows.stop, batch_size):
            triples = self._real_triples(split, range(start, min(start + batch_size, rows.stop)))
            yield self._stack(split, triples)

    def real_labels(self, split: Split, count: int) -> Tensor:
        return self._modes(split, self._real_triples(split, range(count)))

    def _real_triples(self, split: Split, rows: range) -> Tensor:
        return counter_rows(partial(torch.randint, self.num_images(split)), rows, (3,), "cpu", 0, "real")

    def num_real_images(self, split: Split, count: int) -> int:
        return count
