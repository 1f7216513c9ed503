"""Data modules: images as bytes, in memory or on disk, indexed by the iteration that uses them."""

import copy
import itertools
import signal
import sys
from abc import abstractmethod
from collections.abc import Iterable, Iterator
from functools import cached_property, partial
from hashlib import blake2b
from typing import Any, Literal, NamedTuple

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_only
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from srgan.utils.distributed import GRACEFUL_SIGNALS, SINGLE_PROCESS, ProcessGroup
from srgan.utils.images import dequantize
from srgan.utils.randomness import counter_rows, epoch_positions

Split = Literal["train", "test"]
SPLITS: tuple[Split, ...] = ("train", "test")


class Batch(NamedTuple):
    """What one iteration trains on, on one rank."""

    iteration: int  # t, from 0
    images: Tensor  # [n_dis, B, 3, H, W]: uint8 from the loader, float32 in [-1, 1] on the device
    labels: Tensor  # [n_dis, B] int64


class LabelledImages(NamedTuple):
    """Images `[N, C, H, W]` uint8 and their labels `[N]` int64 in [0, num_classes), of a split or a part of it."""

    images: Tensor
    labels: Tensor


class ImageData(pl.LightningDataModule):
    """Real images for one training run. The real images of iteration t are a function of (seed, t).

    A rank gets its rows of the global batch; the batch is the same for any number of ranks. ValueError if a size is
    below 1, or not one of `image_sizes`.

    Args:
        image_size: H = W that the networks see.
        batch_size: the discriminator's global batch, the Batch of Table I.
        n_dis: discriminator updates per iteration; each has images of its own.
        seed: Random seed of the order of the images and of the dequantization noise.

    Attributes:
        name: identifies the data set in keys of caches.
        title: its name in messages.
        image_sizes: allowed image sizes; empty: any.
        content_is_fixed: whether the name says which images these are, as for downloads that are checked by md5.
        locations: settings that only say where the images lie: a run may resume where they are found elsewhere.
        num_modes: combinations of the classes of the three channels, where each is an image of its own; else None.
        num_workers: processes that read ahead; 0 where images are in memory.
    """

    name: str
    title: str
    image_sizes: tuple[int, ...] = ()
    content_is_fixed = False
    locations: tuple[str, ...] = ()
    num_modes: int | None = None
    num_workers: int = 0

    def __init__(self, image_size: int, batch_size: int = 64, n_dis: int = 5, seed: int = 0) -> None:
        super().__init__()
        if min(image_size, batch_size, n_dis) < 1:
            raise ValueError(
                f"Expected image_size, batch_size and n_dis of at least 1, found {image_size}, {batch_size}, {n_dis}."
            )
        if self.image_sizes and image_size not in self.image_sizes:
            sizes = " or ".join(", ".join(map(str, self.image_sizes)).rsplit(", ", 1))
            raise ValueError(f"Expected an image size of {sizes} for {self.title}, found {image_size}.")
        self.image_size, self.batch_size, self.n_dis, self.seed = image_size, batch_size, n_dis, seed

    @abstractmethod
    def load(self, split: Split) -> LabelledImages:
        """A whole split at `image_size` in memory; cheap when called again."""

    def fetch(self, split: Split, indices: Tensor) -> LabelledImages:
        """Some images of a split, by their indices `[n]` int64 in [0, num_images)."""
        data = self.load(split)
        return LabelledImages(data.images[indices], data.labels[indices])

    def labels(self, split: Split) -> Tensor:
        """Of all images of a split, `[num_images]` int64."""
        return self.load(split).labels

    def num_images(self, split: Split) -> int:
        return len(self.load(split).images)

    @property
    def has_test_split(self) -> bool:
        """Whether there are images that training never sees."""
        return True

    @property
    @abstractmethod
    def num_classes(self) -> int:
        """Classes that a classifier tells apart."""

    @property
    def num_labels(self) -> int:
        """Labels of batches are in [0, num_labels)."""
        return self.num_classes

    @property
    def key(self) -> str:
        """Names the exact pixels and labels, wherever they lie: for caches of statistics, and for a resumed run."""
        return f"{self.name}-{self.image_size}" + ("" if self.content_is_fixed else f"-{self.digest}")

    @cached_property
    def digest(self) -> str:
        """Of all pixels and labels."""
        return digest_of(self.load(split) for split in SPLITS if split == "train" or self.has_test_split)

    def setup(self, stage: str) -> None:
        """Loads or opens the images, once per process, so that errors show at once."""
        if stage == "fit":
            self.num_images("train")
            self.key  # noqa: B018 (looks at all images once; checkpoints hold it)

    # What training sees.

    def draw(self, iteration: int, rows: Tensor) -> LabelledImages:
        """Some of the `n_dis * batch_size` real images of one iteration, over all ranks, by their rows `[n]`."""
        count = self.n_dis * self.batch_size
        positions = epoch_positions(self.seed, iteration * count, count, self.num_images("train"))
        return self.fetch("train", positions[rows])

    def batch(self, iteration: int, ranks: ProcessGroup = SINGLE_PROCESS) -> Batch:
        """One rank's share of the real images of one iteration, as bytes."""
        share = torch.tensor(ranks.share(self.batch_size))
        rows = torch.arange(self.n_dis)[:, None] * self.batch_size + share
        images, labels = self.draw(iteration, rows.flatten())
        shape = (self.n_dis, len(share))
        return Batch(iteration, images.unflatten(0, shape), labels.unflatten(0, shape))

    def train_dataloader(self) -> DataLoader[Batch]:
        """An endless loader of iterations, starting where the module in training stands."""
        assert self.trainer is not None
        return DataLoader(
            _BatchOfIteration(self, self._ranks),
            batch_size=None,
            sampler=_Iterations(self.trainer.lightning_module),
            num_workers=self.num_workers,
            worker_init_fn=_leave_signals_to_the_parent if self.num_workers else None,
            pin_memory=self.trainer.strategy.root_device.type == "cuda",
        )

    @property
    def _ranks(self) -> ProcessGroup:
        return ProcessGroup(self.trainer.global_rank, self.trainer.world_size) if self.trainer else SINGLE_PROCESS

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Bytes to [-1, 1] on the device, with the noise of this iteration and of this rank's rows."""
        rows, images = self._ranks.share(self.batch_size), batch.images
        draw = partial(counter_rows, torch.rand, rows, images.shape[2:], images.device, self.seed, "dequantize")
        noise = torch.stack([draw(batch.iteration, update) for update in range(self.n_dis)])
        return batch._replace(images=dequantize(images, noise))

    # What measuring sees.

    def real_images(self, split: Split, rows: range, batch_size: int = 500) -> Iterator[LabelledImages]:
        """Some images of a split, up to `batch_size` at a time: `[B, 3, H, W]` uint8 and labels.

        In one shuffled order for all runs: data sets lie class by class, and a part would miss most classes.
        """
        count = self.num_images(split)
        for start in range(rows.start, rows.stop, batch_size):
            stop = min(start + batch_size, rows.stop)
            yield self.fetch(split, epoch_positions(0, start, stop - start, count))

    def real_labels(self, split: Split, count: int) -> Tensor:
        """Labels `[count]` int64 of the first `real_images`; reads no image from disk."""
        return self.labels(split)[epoch_positions(0, 0, count, self.num_images(split))]

    def num_real_images(self, split: Split, count: int) -> int:
        """How many of `count` images a split has."""
        return min(count, self.num_images(split))


def _leave_signals_to_the_parent(worker: int) -> None:
    """A graceful stop finishes the iteration, which needs its images."""
    for number in GRACEFUL_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


class _Iterations(Sampler[int]):
    """t, t + 1, ... from the module's iteration when an epoch begins, whatever was read ahead in the one before."""

    def __init__(self, module: Any) -> None:
        self.module = module

    def __iter__(self) -> Iterator[int]:
        return itertools.count(self.module.iteration)


class _BatchOfIteration(Dataset[Batch]):
    def __init__(self, data: ImageData, ranks: ProcessGroup) -> None:
        self.data, self.ranks = copy.copy(data), ranks
        self.data.trainer = None  # which cannot be pickled for processes that read ahead

    def __getitem__(self, iteration: int) -> Batch:
        return self.data.batch(iteration, self.ranks)


@rank_zero_only
def say(notes: Iterable[str]) -> None:
    """Prints notes on a data set to stderr, on the first process."""
    for note in notes:
        print(note, file=sys.stderr, flush=True)


def digest_of(parts: Iterable[LabelledImages]) -> str:
    """Names images and labels that come in parts: BLAKE2b, 64 bits."""
    digest = blake2b(digest_size=8)
    for images, labels in parts:
        digest.update(repr(tuple(images.shape)).encode())
        for tensor in (images, labels):
            digest.update(tensor.contiguous().view(-1).numpy().data)
    return digest.hexdigest()
