"""FID within each class of a conditional generator: intra-FID (Miyato and Koyama 2018)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from srgan.data.image_data import ImageData
from srgan.metrics.features import FeatureNetwork
from srgan.metrics.formulas import frechet_distance
from srgan.metrics.protocol import ScoreProtocol
from srgan.metrics.statistics import FeatureSums
from srgan.networks import Generator
from srgan.networks.sampling import generate
from srgan.utils.distributed import ProcessGroup
from srgan.utils.progress import Progress


def chosen_classes(protocol: ScoreProtocol, num_classes: int) -> list[int]:
    """The classes over which a protocol averages, spread evenly over all; ValueError if there are none."""
    if protocol.intra_fid_classes and not num_classes:
        raise ValueError(
            f"Expected a generator with classes for intra_fid_classes {protocol.intra_fid_classes}, found an "
            "unconditional one. Set intra_fid_classes to 0."
        )
    count = min(protocol.intra_fid_classes, num_classes)
    return [k * num_classes // count for k in range(count)]


def check_classes(data: ImageData, protocol: ScoreProtocol, num_classes: int) -> None:
    """Raises ValueError, alike on every rank, where a chosen class has fewer than two real images."""
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


@torch.no_grad()
def intra_class_distances(
    features: FeatureNetwork, data: ImageData, generator: Generator, protocol: ScoreProtocol, ranks: ProcessGroup
) -> list[float]:
    """FID between generated images of each chosen class and the protocol's real ones of that class, on every rank.

    The classes are shared over the ranks. A rank reads all the protocol's real images, runs the feature network on
    those of its classes only, and holds their features in main memory: 8 KB per image with Inception.
    """
    check_classes(data, protocol, generator.num_classes)
    classes = chosen_classes(protocol, generator.num_classes)
    device = next(features.parameters()).device
    share = ranks.share(len(classes))
    own = classes[share.start : share.stop]
    real = _real_features(features, data, protocol, own, show=ranks.rank == 0)
    distances = []
    images_per_class = protocol.intra_fid_images
    with Progress("scores within classes", len(own) * images_per_class, show=ranks.rank == 0) as progress:
        for label in own:
            of_real, of_fake = (FeatureSums.zero(features.num_features, device) for _ in range(2))
            of_real.add(real.pop(label).to(device))
            for images, _ in generate(
                generator, range(images_per_class), protocol.seed, f"scores of class {label}", protocol.batch_size,
                protocol.generator_statistics, label,
            ):  # fmt: skip
                of_fake.add(features(images.to(device))[0])
                progress.update(len(images))
            distances.append(frechet_distance(of_real.mean, of_real.covariance, of_fake.mean, of_fake.covariance))
    gathered: list[float] = ranks.gather(torch.tensor(distances, dtype=torch.float64, device=device)).tolist()
    return gathered


def _real_features(
    features: FeatureNetwork, data: ImageData, protocol: ScoreProtocol, classes: Sequence[int], show: bool
) -> dict[int, Tensor]:
    """Features `[n_c, d]` of the protocol's real images of each class c, in main memory."""
    device = next(features.parameters()).device
    count = data.num_real_images(protocol.split, protocol.num_real_images)
    found: dict[int, list[Tensor]] = {label: [torch.empty(0, features.num_features)] for label in classes}
    wanted = torch.tensor(classes, dtype=torch.int64)
    with Progress(f"real images of {len(classes)} classes", count if classes else 0, show) as progress:
        for images, labels in data.real_images(protocol.split, range(count if classes else 0), protocol.batch_size):
            chosen = torch.isin(labels, wanted)
            if chosen.any():
                of_chosen = features(images[chosen].to(device))[0].cpu()
                for label in labels[chosen].unique().tolist():
                    found[label].append(of_chosen[labels[chosen] == label])
            progress.update(len(images))
    return {label: torch.cat(parts) for label, parts in found.items()}
