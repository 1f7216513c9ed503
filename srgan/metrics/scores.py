"""FID, IS and coverage of generated images, under a protocol that is stored with every score."""

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.inception import InceptionScore

from srgan.data.base import ImageData, Split
from srgan.files import cache_folder, write_atomically
from srgan.metrics.features import FeatureNetwork
from srgan.randomness import counter_seed, seeded
from srgan.sampling import GeneratorStatistics


@dataclass(frozen=True)
class ScoreProtocol:
    """What decides a score besides the generator.

    Attributes:
        num_fake_images: generated images per evaluation; 5,000 for the authors in training, 50,000 in the field.
        num_real_images: real images for FID; the whole split if it has fewer.
        split: which real images.
        inception_splits: parts over which IS is averaged; 1 for the authors, 10 in the field.
        batch_size: of the feature network and the generator; FID depends on it in the last digits.
        generator_statistics: "running" scores the generator in test mode (the authors), "batch" with the
            batch-norm statistics of each batch.
        seed: of the latents, the same at every evaluation.
    """

    num_fake_images: int = 5_000
    num_real_images: int = 50_000
    split: Split = "train"
    inception_splits: int = 1
    batch_size: int = 250
    generator_statistics: GeneratorStatistics = "running"
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.num_fake_images, self.num_real_images) < 2 or min(self.inception_splits, self.batch_size) < 1:
            raise ValueError(f"Expected at least two images and one split, found {self}.")
        if self.generator_statistics not in ("running", "batch"):
            raise ValueError(
                f"Expected generator_statistics 'running' or 'batch', found {self.generator_statistics!r}."
            )


class Scorer:
    """Scores batches of generated images against a data set.

    Args:
        features: shared by all scores: one pass per image.
        data: the real images.
        protocol: how many of what.
    """

    def __init__(self, features: FeatureNetwork, data: ImageData, protocol: ScoreProtocol) -> None:
        self.features = features
        self.data = data
        self.protocol = protocol
        self.fid = FrechetInceptionDistance(
            _Given(features.num_features), reset_real_features=False, sync_on_compute=False
        )
        self._restore_real_statistics()

    def describe(self) -> dict[str, Any]:
        """The full protocol, as it is stored beside the scores."""
        return asdict(self.protocol) | {
            "data": self.data.key,
            "num_real_images": self.data.num_real_images(self.protocol.split, self.protocol.num_real_images),
            "features": self.features.name,
            "resize": self.features.resize,
            "weights_hash": self.features.weights_hash,
        }

    @torch.no_grad()
    def __call__(self, batches: Iterable[Tensor]) -> dict[str, float | None]:
        """Scores of generated images, given as `[B, 3, H, W]` uint8 batches.

        Returns:
            "FID", "IS" and "IS_std" (None with one split) with the feature network's suffix; for stacked
            digits also "modes" (of 1,000) and "modes_kl" (KL to uniform, in nats).
        """
        device = next(self.features.parameters()).device
        self.fid.to(device).reset()
        inception_score = InceptionScore(
            _Given(self.features.num_features), self.protocol.inception_splits, sync_on_compute=False
        )
        logits = []
        for images in batches:
            features, batch_logits = self.features(images.to(device))
            self.fid.update(features, real=False)
            # Floored, since torchmetrics makes NaN (0 x infinity) of a probability that underflows for all images.
            inception_score.update(batch_logits.log_softmax(dim=1).clamp_min(-80))
            logits.append(batch_logits)
        with seeded(counter_seed(self.protocol.seed, "inception score")):  # it shuffles by the global generator
            mean, std = (float(value) for value in inception_score.compute())
        suffix = self.features.suffix
        scores: dict[str, float | None] = {
            f"FID{suffix}": float(self.fid.compute()),
            f"IS{suffix}": mean,
            f"IS{suffix}_std": std if math.isfinite(std) else None,
        }
        return scores | (coverage(torch.cat(logits)) if self.features.counts_modes else {})

    def _restore_real_statistics(self) -> None:
        """Sums over the real features, from the cache if these very features were summed before."""
        protocol = self.describe()
        count = protocol["num_real_images"]
        parts = ("data", "split", "num_real_images", "features", "weights_hash", "batch_size")
        path = cache_folder() / "statistics" / ("-".join(str(protocol[part]) for part in parts) + ".npz")
        if not path.exists():
            device = next(self.features.parameters()).device
            self.fid.to(device)
            for images, _ in self.data.real_images(self.protocol.split, range(count), self.protocol.batch_size):
                self.fid.update(self.features(images.to(device))[0], real=True)
            sums = {name: getattr(self.fid, name).cpu().numpy() for name in _REAL_STATISTICS}
            write_atomically(path, lambda file: np.savez(file, allow_pickle=False, **sums))
        with np.load(path) as stored:
            for name in _REAL_STATISTICS:
                setattr(self.fid, name, torch.from_numpy(stored[name]))


_REAL_STATISTICS = ("real_features_sum", "real_features_cov_sum", "real_features_num_samples")


def coverage(logits: Tensor) -> dict[str, float | None]:
    """Modes covered by generated images, each counted as its most probable mode.

    Args:
        logits: `[B, modes]`.

    Returns:
        "modes": how many modes occur; "modes_kl": KL from their frequencies to uniform, in nats.
    """
    counts = torch.bincount(logits.argmax(dim=1), minlength=logits.shape[1]).double()
    frequencies = counts[counts > 0] / counts.sum()
    divergence = (frequencies * (frequencies * logits.shape[1]).log()).sum()
    return {"modes": int((counts > 0).sum()), "modes_kl": float(divergence)}


class _Given(nn.Module):
    """Stands in for torchmetrics' feature network where features are given already."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features

    def forward(self, features: Tensor) -> Tensor:
        return features
