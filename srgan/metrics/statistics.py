"""Sums over features: what Fréchet distances need of the images, shared over ranks and cached for real images."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from math import ceil

import numpy as np
import torch
from torch import Tensor

from srgan.data.image_data import ImageData, Split
from srgan.metrics.features import FeatureNetwork, arithmetic
from srgan.utils.distributed import ProcessGroup
from srgan.utils.files import cache_folder, read_cached, write_cached
from srgan.utils.progress import Progress

IMAGES_BETWEEN_SAVES = 50_000
MAX_FEATURES = 50_000
"""Real images whose features are kept for distances between single images: 400 MB of Inception features."""


@dataclass
class FeatureSums:
    """Of n features: their number, their sum `[d]`, and the sum of their outer products `[d, d]`, float64."""

    count: int
    total: Tensor
    outer: Tensor

    @classmethod
    def zero(cls, num_features: int, device: torch.device | str = "cpu") -> "FeatureSums":
        zeros = partial(torch.zeros, dtype=torch.float64, device=_float64_device(device))
        return cls(0, zeros(num_features), zeros(num_features, num_features))

    def to(self, device: torch.device | str) -> "FeatureSums":
        where = _float64_device(device)
        return FeatureSums(self.count, self.total.to(where), self.outer.to(where))

    def add(self, features: Tensor) -> None:
        """Includes features `[B, d]`."""
        precise = features.to(self.total)
        self.count += len(features)
        self.total += precise.sum(dim=0)
        self.outer += precise.T @ precise

    def join(self, other: "FeatureSums") -> None:
        self.count += other.count
        self.total += other.total.to(self.total)
        self.outer += other.outer.to(self.outer)

    def over(self, ranks: ProcessGroup) -> "FeatureSums":
        """The sums over all ranks, the same bits on each: added in the order of the ranks."""
        counts = ranks.gather(torch.tensor([self.count], device=self.total.device))
        return FeatureSums(
            int(counts.sum()), ranks.gather(self.total[None]).sum(dim=0), ranks.gather(self.outer[None]).sum(dim=0)
        )

    @property
    def mean(self) -> Tensor:
        """`[d]`."""
        return self.total / self.count

    @property
    def covariance(self) -> Tensor:
        """`[d, d]`, unbiased."""
        return (self.outer - self.count * self.mean.outer(self.mean)) / (self.count - 1)


def _float64_device(device: torch.device | str) -> torch.device | str:
    return "cpu" if torch.device(device).type == "mps" else device  # MPS has no float64


def share_batches(ranks: ProcessGroup, rows: range, batch_size: int) -> range:
    """One rank's share of some rows, in whole batches, so that features are the same for any number of ranks."""
    batches = ranks.share(ceil(len(rows) / batch_size))
    first, last = (min(rows.start + batch * batch_size, rows.stop) for batch in (batches.start, batches.stop))
    return range(first, last)


@dataclass
class RealStatistics:
    """Statistics of the first `count` (at least two) real images of a split, computed once, by all ranks, and cached.

    Every rank has to ask for the same ones at the same time; rank zero reads and writes the cache.
    """

    features: FeatureNetwork
    data: ImageData
    split: Split
    count: int
    batch_size: int
    ranks: ProcessGroup

    def __post_init__(self) -> None:
        self.device = next(self.features.parameters()).device
        network = f"{self.features.name}-{self.features.weights_hash}-{self.batch_size}{arithmetic(self.device)}"
        self.key = f"{self.data.key}-{self.split}-{self.count}-{network}"

    def sums(self) -> FeatureSums:
        """Of all the images, on the network's device; on rank zero, empty on others. Resumes where it last saved."""
        path = cache_folder() / "real-statistics" / f"{self.key}.npz"
        sums = FeatureSums.zero(self.features.num_features)
        if self.ranks.rank == 0 and (stored := read_cached(path, "count", "total", "outer")):
            count, total, outer = map(torch.from_numpy, stored.values())
            sums = FeatureSums(int(count), total, outer)
        done = self._as_rank_zero(sums.count)
        step = ceil(IMAGES_BETWEEN_SAVES / self.batch_size) * self.batch_size
        for start in range(done, self.count, step):
            rows = range(start, min(start + step, self.count))
            part = FeatureSums.zero(self.features.num_features, self.device)
            for features in self._features_of(rows):
                part.add(features)
            part = part.over(self.ranks)
            if self.ranks.rank == 0:
                sums.join(part)
                write_cached(path, count=np.array(sums.count), total=sums.total.numpy(), outer=sums.outer.numpy())
        return sums.to(self.device)

    def set_of_features(self) -> Tensor:
        """Features `[n, d]` float32 of the first 50,000 of the images; on rank zero, empty on the others."""
        path = cache_folder() / "real-features" / f"{self.key}.npz"
        stored = read_cached(path, "features") if self.ranks.rank == 0 else None
        features = stored["features"] if stored else np.empty(0, np.float32)
        if not self._as_rank_zero(int(stored is not None)):
            found = list(self._features_of(range(min(self.count, MAX_FEATURES))))
            width = self.features.num_features
            own = torch.cat([torch.empty(0, width, device=self.device), *found])
            features = self.ranks.gather(own).cpu().numpy()
            if self.ranks.rank == 0:
                write_cached(path, features=features)
        return torch.from_numpy(features) if self.ranks.rank == 0 else torch.empty(0)

    def _features_of(self, rows: range) -> Iterator[Tensor]:
        """Features of this rank's share of some images, batch by batch."""
        share = share_batches(self.ranks, rows, self.batch_size)
        what = f"features of real images of {self.data.name}"
        with Progress(what, len(share), show=self.ranks.rank == 0) as progress:
            for images, _ in self.data.real_images(self.split, share, self.batch_size):
                yield self.features(images.to(self.device))[0]
                progress.update(len(images))

    def _as_rank_zero(self, number: int) -> int:
        """Rank zero's number, on all ranks."""
        shared = torch.tensor([number], device=self.device)
        self.ranks.broadcast_([shared], 0)
        return int(shared)
