"""Data modules: images in memory as bytes, indexed by the iteration that uses them."""

from abc import abstractmethod
from collections.abc import Iterator
from typing import Literal, NamedTuple, Protocol, cast

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from srgan.data.images import dequantize
from srgan.randomness import counter_generator, epoch_positions

Split = Literal["train", "test"]


class Batch(NamedTuple):
    """What one iteration trains on, on one rank.

    Attributes:
        iteration: t, from 0.
        images: `[n_dis, B, 3, H, W]`: uint8 from the loader, float32 in [-1, 1] on the device.
        labels: `[n_dis, B]` int64.
    """

    iteration: int
    images: Tensor
    labels: Tensor


class LabelledImages(NamedTuple):
    """A whole split in memory: images `[N, C, H, W]` uint8 and labels `[N]` int64 in [0, num_classes)."""

    images: Tensor
    labels: Tensor


class _HasIteration(Protocol):
    iteration: int


class ImageData(pl.LightningDataModule):
    """Real images for one training run. The real images of iteration t are a function of (seed, t, rank).

    Args:
        image_size: H = W that the networks see.
        batch_size: the discriminator's global batch, the Batch of Table I.
        n_dis: discriminator updates per iteration; each has images of its own.
        seed: of the order of the images and of the dequantization noise.

    Raises:
        ValueError: a size is below 1, or the batch does not divide among the devices.
    """

    name: str
    """Of the data set, as scores and caches record it."""
    stacked: bool = False
    """Whether the three channels are three independent pictures, which multiply to num_classes^3 modes."""

    def __init__(self, image_size: int, batch_size: int, n_dis: int, seed: int) -> None:
        super().__init__()
        if min(image_size, batch_size, n_dis) < 1:
            raise ValueError(
                f"Expected image_size, batch_size and n_dis of at least 1, found {image_size}, {batch_size}, {n_dis}."
            )
        self.image_size = image_size
        self.batch_size = batch_size
        self.n_dis = n_dis
        self.seed = seed

    @abstractmethod
    def load(self, split: Split) -> LabelledImages:
        """A whole split at `image_size`; cheap when called again."""

    @property
    @abstractmethod
    def num_classes(self) -> int:
        """Classes of an image, or of a single channel where `stacked`."""

    @property
    def key(self) -> str:
        """Names the exact pixels, for caches of statistics: data set, resolution, resize."""
        return f"{self.name}-{self.image_size}"

    def setup(self, stage: str) -> None:
        """Loads the training split, once per process."""
        if stage == "fit":
            self.load("train")

    # What training sees.

    def draw(self, iteration: int) -> tuple[Tensor, Tensor]:
        """Images and labels of all discriminator updates of one iteration, over all ranks.

        Returns:
            `[n_dis * batch_size, 3, H, W]` uint8 and `[n_dis * batch_size]` int64.
        """
        data = self.load("train")
        count = self.n_dis * self.batch_size
        indices = epoch_positions(self.seed, iteration * count, count, len(data.images))
        return data.images[indices], data.labels[indices]

    def batch(self, iteration: int, rank: int = 0, world_size: int = 1) -> Batch:
        """One rank's share of the real images of one iteration, as bytes."""
        if self.batch_size % world_size:
            raise ValueError(
                f"Expected a global batch that divides among the devices, found batch_size {self.batch_size} "
                f"on {world_size} devices. Choose a multiple of {world_size}."
            )
        images, labels = self.draw(iteration)
        images = images.view(self.n_dis, self.batch_size, *images.shape[1:])
        labels = labels.view(self.n_dis, self.batch_size)
        share = slice(*(self.batch_size // world_size * r for r in (rank, rank + 1)))
        return Batch(iteration, images[:, share], labels[:, share])

    def train_dataloader(self) -> DataLoader[Batch]:
        """An endless loader of iterations, starting where the module in training stands."""
        trainer = self.trainer
        assert trainer is not None
        iterations = _Iterations(cast(_HasIteration, trainer.lightning_module))
        return DataLoader(
            _BatchOfIteration(self, trainer.global_rank, trainer.world_size),
            batch_size=None,
            sampler=iterations,
        )

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Bytes to [-1, 1] on the device, with the noise of this iteration and rank."""
        rank = self.trainer.global_rank if self.trainer is not None else 0
        noise = counter_generator(batch.images.device, self.seed, "dequantize", batch.iteration, rank)
        return batch._replace(images=dequantize(batch.images, noise))

    # What measuring sees.

    def real_images(self, split: Split, count: int, batch_size: int = 500) -> Iterator[Tensor]:
        """The first `count` images of a split (all if fewer), in a fixed order: `[<= batch_size, 3, H, W]` uint8."""
        yield from self.load(split).images[:count].split(batch_size)

    def num_real_images(self, split: Split, count: int) -> int:
        """How many images `real_images` yields."""
        return min(count, len(self.load(split).images))


class _Iterations(Sampler[int]):
    """t, t + 1, ... from the module's iteration at the moment when training starts or resumes."""

    def __init__(self, module: _HasIteration) -> None:
        self.module = module

    def __iter__(self) -> Iterator[int]:
        iteration = self.module.iteration
        while True:
            yield iteration
            iteration += 1


class _BatchOfIteration(Dataset[Batch]):
    """Item t is the batch of iteration t."""

    def __init__(self, data: ImageData, rank: int, world_size: int) -> None:
        self.data, self.rank, self.world_size = data, rank, world_size

    def __getitem__(self, iteration: int) -> Batch:
        return self.data.batch(iteration, self.rank, self.world_size)


def check_labelled_images(data: LabelledImages, image_size: int, origin: str) -> LabelledImages:
    """The border between files and training.

    Raises:
        ValueError: no images, or not `[N, C, image_size, image_size]` uint8 with one label each.
    """
    images, labels = data
    expected = (image_size, image_size)
    if len(images) == 0 or images.dtype != torch.uint8 or images.shape[2:] != expected or len(labels) != len(images):
        raise ValueError(
            f"Expected images [N, C, {image_size}, {image_size}] uint8 with N labels from {origin}, found "
            f"{list(images.shape)} {images.dtype} with {len(labels)} labels."
        )
    return data
