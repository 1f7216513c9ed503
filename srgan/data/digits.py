"""Stacked digits: the embedded data set, real handwriting without a download."""

from collections.abc import Iterator
from functools import cached_property, partial

import torch
from sklearn.datasets import load_digits
from torch import Tensor
from torch.nn.functional import interpolate

from srgan.data.base import ImageData, LabelledImages, Split
from srgan.randomness import counter_generator, counter_rows


class DigitsData(ImageData):
    """scikit-learn's 1,797 handwritten digits, three drawn at random as the R, G, B channels of one image.

    1,000 modes, one per three-digit number, nearly uniform. The digits are 8 x 8 with 17 grey levels
    (UCI optical recognition of handwritten digits); larger images are bilinear.

    Args:
        image_size: 8, 16, 32, 64 or 128.
        batch_size: the discriminator's global batch.
        n_dis: discriminator updates per iteration.
        seed: of the draws and of the dequantization noise.

    Raises:
        ValueError: another image size.
    """

    name = "stacked-digits"
    num_classes = 10
    stacked = True

    def __init__(self, image_size: int = 16, batch_size: int = 16, n_dis: int = 5, seed: int = 0) -> None:
        super().__init__(image_size, batch_size, n_dis, seed)
        if image_size not in (8, 16, 32, 64, 128):
            raise ValueError(f"Expected an image size of 8, 16, 32, 64 or 128 for stacked digits, found {image_size}.")

    @cached_property
    def _digits(self) -> LabelledImages:
        digits = load_digits()
        images = torch.from_numpy(digits.images).float().mul(255 / 16)[:, None]
        if self.image_size != 8:
            images = interpolate(images, size=self.image_size, mode="bilinear", align_corners=False)
        return LabelledImages(images.round().clamp(0, 255).to(torch.uint8), torch.from_numpy(digits.target))

    def load(self, split: Split) -> LabelledImages:
        """The single digits `[1797, 1, H, W]`; there is one split, every stack is drawn from it."""
        return self._digits

    def draw(self, iteration: int, rows: Tensor) -> LabelledImages:
        drawn = torch.randint(
            len(self._digits.images),
            (self.n_dis * self.batch_size, 3),
            generator=counter_generator("cpu", self.seed, "stacks", iteration),
        )
        return self._stack(drawn[rows])

    def _stack(self, triples: Tensor) -> LabelledImages:
        """Indices of digits `[n, 3]` -> images `[n, 3, H, W]` uint8 and their modes `[n]` in [0, 1000)."""
        return LabelledImages(self._digits.images[triples].squeeze(2), self._modes(triples))

    def _modes(self, triples: Tensor) -> Tensor:
        return (self._digits.labels[triples] * torch.tensor([100, 10, 1])).sum(dim=1)

    def real_images(self, split: Split, rows: range, batch_size: int = 500) -> Iterator[LabelledImages]:
        """Stacks that every run shares, whatever its seed."""
        for start in range(rows.start, rows.stop, batch_size):
            yield self._stack(self._real_triples(range(start, min(start + batch_size, rows.stop))))

    def real_labels(self, split: Split, count: int) -> Tensor:
        return self._modes(self._real_triples(range(count)))

    def _real_triples(self, rows: range) -> Tensor:
        draw = partial(torch.randint, len(self._digits.images))
        return counter_rows(draw, rows, (3,), "cpu", 0, "real")

    def num_real_images(self, split: Split, count: int) -> int:
        return count
