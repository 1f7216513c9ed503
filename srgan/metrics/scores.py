"""Scores of generated images under a protocol that is stored with every score; FID within classes (intra-FID)."""

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from srgan.collapse import EMA
from srgan.data.image_data import ImageData
from srgan.metrics import formulas
from srgan.metrics.features import FeatureNetwork
from srgan.metrics.protocol import ScoreProtocol
from srgan.metrics.statistics import MAX_FEATURES, FeatureSums, RealStatistics, share_batches
from srgan.networks import Generator
from srgan.networks.sampling import SCORED, generate
from srgan.utils.distributed import SINGLE_PROCESS, ProcessGroup
from srgan.utils.progress import Progress

Scores = dict[str, Any]
ImagesOf = Callable[[range], Iterable[Tensor]]
"""Rows of an endless stream of images -> their batches `[B, 3, H, W]` uint8."""


def check_enough_images(data: ImageData, protocol: ScoreProtocol) -> None:
    """Raises ValueError where a split has fewer images than a protocol needs at least."""
    found = data.num_real_images(protocol.split, protocol.num_real_images)
    if found < protocol.min_images:
        raise ValueError(
            f"Expected at least {protocol.min_images} real images of {data.name} ({protocol.split})"
            f"{' for prdc' * protocol.prdc}, found {found}."
        )


class Scorer:
    """Scores generated images against a data set. Several ranks share the work; rank zero has the scores.

    Every rank has to ask for the same scores at the same time. ValueError if the data has too few images for the
    protocol.
    """

    def __init__(
        self, features: FeatureNetwork, data: ImageData, protocol: ScoreProtocol, ranks: ProcessGroup = SINGLE_PROCESS
    ) -> None:
        self.features = features
        self.data = data
        self.protocol = protocol
        self.ranks = ranks
        self.device = next(features.parameters()).device
        self.num_real_images = data.num_real_images(protocol.split, protocol.num_real_images)
        check_enough_images(data, protocol)
        self.real = RealStatistics(features, data, protocol.split, self.num_real_images, protocol.batch_size, ranks)
        self.real_sums = self.real.sums()

    def under(self, protocol: ScoreProtocol) -> "Scorer":
        """A scorer under another protocol of the same real images; ValueError if they differ, or are too few."""
        if protocol.real != self.protocol.real:
            raise ValueError(f"Expected a protocol of the real images of {self.protocol}, found {protocol}.")
        check_enough_images(self.data, protocol)
        other = copy.copy(self)
        other.protocol = protocol
        return other

    def describe(self) -> dict[str, Any]:
        """The full protocol, as it is stored beside the scores."""
        protocol = self.protocol
        described = asdict(protocol) | {
            "data": self.data.key,
            "num_real_images": self.num_real_images,
            "features": self.features.name,
            "resize": self.features.resize,
            "weights_hash": self.features.weights_hash,
        }
        if protocol.kid:
            fewest = min(protocol.num_fake_images, self.num_real_images, formulas.KERNEL_SUBSET_SIZE)
            described["kid_subsets"] = [formulas.KERNEL_SUBSETS, fewest]
        if protocol.prdc:
            described["prdc_neighbours"] = [formulas.PRECISION_NEIGHBOURS, formulas.DENSITY_NEIGHBOURS]
        if protocol.kid or protocol.prdc:
            described["num_real_features"] = min(self.num_real_images, MAX_FEATURES)
        if protocol.intra_fid_classes:
            described["intra_fid_labels"] = chosen_classes(protocol, self.data.num_labels)
        return described

    def of_generators(self, last: Generator, average: Generator | None) -> Scores:
        """Scores of a generator's last weights and, with the suffix "_ema", of their moving average if there is one."""
        averages = self.of_generator(average) if average is not None else {}
        return self.of_generator(last) | {f"{name}{EMA}": value for name, value in averages.items()}

    def of_generator(self, generator: Generator) -> Scores:
        """Scores of a generator, as `of_images`, with those within classes."""
        chosen = self.protocol
        check_classes(self.data, chosen, generator.num_classes)

        def images_of(rows: range) -> Iterable[Tensor]:
            found = generate(generator, rows, chosen.seed, SCORED, chosen.batch_size, chosen.generator_statistics)
            return (images for images, _ in found)

        scores = self.of_images(images_of)
        if chosen.intra_fid_classes:
            distances = self._intra_class_distances(generator)
            if self.ranks.rank == 0:
                name = f"FID_intra{self.features.suffix}"
                scores |= {name: sum(distances) / len(distances), f"{name}_classes": distances}
        return scores

    @torch.no_grad()
    def of_images(self, images_of: ImagesOf) -> Scores:
        """Scores of a stream of images.

        Returns:
            on rank zero "FID", "IS" and "IS_std" (None with one split), of stacked digits "modes" (of 1,000) and
            "modes_kl" (KL to uniform, in nats), and what the protocol asks for of "KID", "KID_std", "precision",
            "recall", "density" and "coverage", names with the network's suffix; nothing on other ranks.
        """
        count, keeps_features = self.protocol.num_fake_images, self.protocol.kid or self.protocol.prdc
        sums, logits, features = self._pass(images_of, range(count), keeps_features)
        if sums.count != count:
            raise RuntimeError(f"Expected {count} generated images, found {sums.count}.")
        real_features = self.real.set_of_features() if keeps_features else torch.empty(0)
        return self._scores(sums, logits, features, real_features) if self.ranks.rank == 0 else {}

    def _pass(self, images_of: ImagesOf, rows: range, keeps_features: bool) -> tuple[FeatureSums, Tensor, Tensor]:
        """Sums, logits `[n, classes]` and features `[n, d]` (if they are kept) of some rows, of all ranks, in order."""
        share = share_batches(self.ranks, rows, self.protocol.batch_size)
        sums = FeatureSums.zero(self.features.num_features, self.device)
        logits = [torch.empty(0, self.features.num_logits, device=self.device)]
        features = [torch.empty(0, self.features.num_features, device=self.device)]
        with Progress("scores of generated images", len(share), show=self.ranks.rank == 0) as progress:
            for images in images_of(share):
                batch_features, batch_logits = self.features(images.to(self.device))
                sums.add(batch_features)
                logits.append(batch_logits)
                if keeps_features:
                    features.append(batch_features)
                progress.update(len(images))
        all_logits, all_features = (self.ranks.gather(torch.cat(parts)).cpu() for parts in (logits, features))
        return sums.over(self.ranks), all_logits, all_features

    def _scores(self, sums: FeatureSums, logits: Tensor, features: Tensor, real_features: Tensor) -> Scores:
        protocol, suffix, real = self.protocol, self.features.suffix, self.real_sums
        fid = formulas.frechet_distance(real.mean, real.covariance, sums.mean, sums.covariance)
        mean, std = formulas.inception_score(logits, protocol.inception_splits, protocol.seed)
        scores: Scores = {f"FID{suffix}": fid, f"IS{suffix}": mean, f"IS{suffix}_std": std}
        if self.features.counts_modes:
            scores["modes"], scores["modes_kl"] = formulas.mode_coverage(logits)
        if protocol.kid:
            kid, kid_std = formulas.kernel_distance(real_features, features, protocol.seed)
            scores |= {f"KID{suffix}": kid, f"KID{suffix}_std": kid_std}
        if protocol.prdc:
            on_device = (real_features.to(self.device), features.to(self.device))
            values = (*formulas.precision_and_recall(*on_device), *formulas.density_and_coverage(*on_device))
            names = ("precision", "recall", "density", "coverage")
            scores |= {f"{name}{suffix}": value for name, value in zip(names, values, strict=True)}
        return scores

    @torch.no_grad()
    def _intra_class_distances(self, generator: Generator) -> list[float]:
        """FID within each chosen class (Miyato and Koyama 2018), on every rank; the ranks share the classes.

        A rank reads all the protocol's real images and holds the features of its classes: with Inception 8 KB an image.
        """
        chosen, show = self.protocol, self.ranks.rank == 0
        classes = chosen_classes(chosen, generator.num_classes)
        share = self.ranks.share(len(classes))
        own = classes[share.start : share.stop]
        real = self._real_features_of(own, show)
        rows, distances = range(chosen.intra_fid_images), []
        with Progress("scores within classes", len(own) * len(rows), show) as progress:
            for label in own:
                of_real, of_fake = (FeatureSums.zero(self.features.num_features, self.device) for _ in range(2))
                of_real.add(real.pop(label).to(self.device))
                purpose = f"scores of class {label}"
                settings = (chosen.seed, purpose, chosen.batch_size, chosen.generator_statistics, label)
                for images, _ in generate(generator, rows, *settings):
                    of_fake.add(self.features(images.to(self.device))[0])
                    progress.update(len(images))
                moments = (of_real.mean, of_real.covariance, of_fake.mean, of_fake.covariance)
                distances.append(formulas.frechet_distance(*moments))
        of_own = torch.tensor(distances, dtype=torch.float64, device=self.device)
        gathered: list[float] = self.ranks.gather(of_own).tolist()
        return gathered

    def _real_features_of(self, classes: Sequence[int], show: bool) -> dict[int, Tensor]:
        """Features `[n_c, d]` of the protocol's real images of each class c, in main memory."""
        found: dict[int, list[Tensor]] = {label: [torch.empty(0, self.features.num_features)] for label in classes}
        wanted, rows = torch.tensor(classes, dtype=torch.int64), range(self.num_real_images if classes else 0)
        with Progress(f"real images of {len(classes)} classes", len(rows), show) as progress:
            for images, labels in self.data.real_images(self.protocol.split, rows, self.protocol.batch_size):
                chosen = torch.isin(labels, wanted)
                if chosen.any():
                    of_chosen = self.features(images[chosen].to(self.device))[0].cpu()
                    for label in labels[chosen].unique().tolist():
                        found[label].append(of_chosen[labels[chosen] == label])
                progress.update(len(images))
        return {label: torch.cat(parts) for label, parts in found.items()}


def chosen_classes(protocol: ScoreProtocol, num_classes: int) -> list[int]:
    """The classes over which a protocol averages, spread evenly; ValueError if the generator has none."""
    if protocol.intra_fid_classes and not num_classes:
        raise ValueError(
            f"Expected a generator with classes for intra_fid_classes {protocol.intra_fid_classes}, found an "
            "unconditional one. Set intra_fid_classes to 0."
        )
    count = min(protocol.intra_fid_classes, num_classes)
    return [k * num_classes // count for k in range(count)]


def check_classes(data: ImageData, protocol: ScoreProtocol, num_classes: int) -> None:
    """Raises ValueError, on every rank, if a chosen class has fewer than two real images."""
    classes = chosen_classes(protocol, num_classes)
    if not classes:
        return
    count = data.num_real_images(protocol.split, protocol.num_real_images)
    found = torch.bincount(data.real_labels(protocol.split, count), minlength=num_classes)
    lacking = [label for label in classes if found[label] < 2]
    if lacking:
        raise ValueError(
            f"Expected at least two real images of every class among {count} of {data.name} ({protocol.split}), "
            f"found fewer of the classes {lacking[:10]}. Raise num_real_images, or set intra_fid_classes to 0."
        )
