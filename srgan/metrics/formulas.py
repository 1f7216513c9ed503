"""Scores as pure functions of features and logits.

Fréchet distance, density and coverage are written out here. The Inception score, the kernel distance, precision
and recall are torch-fidelity's functions: they draw from a seed of their own and leave the global generators alone.
"""

import torch
from torch import Tensor
from torch_fidelity.metric_isc import KEY_METRIC_ISC_MEAN, KEY_METRIC_ISC_STD, isc_features_to_metric
from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, KEY_METRIC_KID_STD, kid_features_to_metric
from torch_fidelity.metric_prc import KEY_METRIC_PRECISION, KEY_METRIC_RECALL, prc_features_to_metric

KERNEL_SUBSETS, KERNEL_SUBSET_SIZE = 100, 1_000  # as Bińkowski et al. and torch-fidelity
PRECISION_NEIGHBOURS = 3  # as Kynkäänniemi et al.
DENSITY_NEIGHBOURS = 5  # as Naeem et al.
_ROWS_OF_DISTANCES = 2_000  # times 50,000 distances are 400 MB


def frechet_distance(mean_real: Tensor, cov_real: Tensor, mean_fake: Tensor, cov_fake: Tensor) -> float:
    """|m_r - m_f|^2 + tr(C_r + C_f - 2 (C_r C_f)^(1/2)), the distance of two Gaussians (Heusel et al. 2017).

    The trace of the root is that of (C_r^(1/2) C_f C_r^(1/2))^(1/2), which is symmetric: real and never negative,
    also where there are fewer images than features.

    Args:
        mean_real: `[d]` float64.
        cov_real: `[d, d]` float64.
        mean_fake: `[d]` float64.
        cov_fake: `[d, d]` float64.
    """
    values, vectors = torch.linalg.eigh(cov_real)
    root = (vectors * values.clamp_min(0).sqrt()) @ vectors.T
    trace_of_root = torch.linalg.eigvalsh(root @ cov_fake @ root).clamp_min(0).sqrt().sum()
    distance = (mean_real - mean_fake).square().sum() + cov_real.trace() + cov_fake.trace() - 2 * trace_of_root
    return float(distance)


def inception_score(logits: Tensor, splits: int, seed: int) -> tuple[float, float | None]:
    """exp E_x KL(p(y|x) || p(y)), its mean and deviation over equal parts of shuffled images (Salimans et al. 2016).

    Args:
        logits: `[N, classes]`.
        splits: number of parts.
        seed: of the shuffle.

    Returns:
        mean, and the deviation of the population of parts; None with one part.
    """
    # Floored, since a probability that underflows for all images makes 0 x infinity.
    floored = logits.double().log_softmax(dim=1).clamp_min(-80)
    found = isc_features_to_metric(floored, splits, shuffle=True, rng_seed=seed)
    return found[KEY_METRIC_ISC_MEAN], found[KEY_METRIC_ISC_STD] if splits > 1 else None


def kernel_distance(real: Tensor, fake: Tensor, seed: int) -> tuple[float, float]:
    """Unbiased squared MMD under the kernel (x y / d + 1)^3, over 100 random subsets (Bińkowski et al. 2018).

    Args:
        real: `[N, d]` float32.
        fake: `[M, d]` float32.
        seed: of the subsets, of 1,000 images each, or of all that there are.

    Returns:
        mean and deviation.
    """
    size = min(KERNEL_SUBSET_SIZE, len(real), len(fake))
    found = kid_features_to_metric(
        fake, real, kid_subsets=KERNEL_SUBSETS, kid_subset_size=size, rng_seed=seed, verbose=False
    )
    return found[KEY_METRIC_KID_MEAN], found[KEY_METRIC_KID_STD]


def precision_and_recall(real: Tensor, fake: Tensor) -> tuple[float, float]:
    """Improved precision and recall (Kynkäänniemi et al. 2019).

    A set covers the balls around its images that reach to the 3rd nearest neighbour.

    Args:
        real: `[N, d]` float32.
        fake: `[M, d]` float32.

    Returns:
        the share of generated images that the real ones cover, and the reverse.
    """
    found = prc_features_to_metric(
        fake, real, prc_neighborhood=PRECISION_NEIGHBOURS, prc_batch_size=_ROWS_OF_DISTANCES, save_cpu_ram=True,
        verbose=False,
    )  # fmt: skip
    return found[KEY_METRIC_PRECISION], found[KEY_METRIC_RECALL]


def density_and_coverage(real: Tensor, fake: Tensor) -> tuple[float, float]:
    """Density and coverage (Naeem et al. 2020), with balls that reach to the 5th nearest real neighbour.

    Args:
        real: `[N, d]` float32.
        fake: `[M, d]` float32.

    Returns:
        in how many real balls a generated image lies, over 5 and averaged; the share of real balls with one inside.
    """
    inside = covered = 0
    for centres in real.split(_ROWS_OF_DISTANCES):
        radii = torch.cdist(centres, real).kthvalue(DENSITY_NEIGHBOURS + 1).values  # the 1st is the centre itself
        within = torch.cdist(centres, fake) < radii[:, None]
        inside += int(within.sum())
        covered += int(within.any(dim=1).sum())
    return inside / (DENSITY_NEIGHBOURS * len(fake)), covered / len(real)


def mode_coverage(logits: Tensor) -> tuple[int, float]:
    """Modes covered by generated images, each counted as its most probable mode.

    Args:
        logits: `[B, modes]`.

    Returns:
        how many modes occur, and KL from their frequencies to uniform, in nats.
    """
    counts = torch.bincount(logits.argmax(dim=1), minlength=logits.shape[1]).double()
    frequencies = counts[counts > 0] / counts.sum()
    divergence = (frequencies * (frequencies * logits.shape[1]).log()).sum()
    return int((counts > 0).sum()), float(divergence)
