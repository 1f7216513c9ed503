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

    Means `[d]` and covariances `[d, d]`, float64. The trace of the root is that of (C_r^(1/2) C_f C_r^(1/2))^(1/2),
    which is symmetric: real and never negative, also with fewer images than features.
    """
    values, vectors = torch.linalg.eigh(cov_real)
    root = (vectors * values.clamp_min(0).sqrt()) @ vectors.T
    trace_of_root = torch.linalg.eigvalsh(root @ cov_fake @ root).clamp_min(0).sqrt().sum()
    distance = (mean_real - mean_fake).square().sum() + cov_real.trace() + cov_fake.trace() - 2 * trace_of_root
    return float(distance)


def inception_score(logits: Tensor, splits: int, seed: int) -> tuple[float, float | None]:
    """exp E_x KL(p(y|x) || p(y)) of logits `[N, classes]` (Salimans et al. 2016).

    Mean and standard deviation over `splits` equal parts of the shuffled images; None for the latter with one part.
    """
    # Floored, since a probability that underflows for all images makes 0 x infinity.
    floored = logits.double().log_softmax(dim=1).clamp_min(-80)
    found = isc_features_to_metric(floored, splits, shuffle=True, rng_seed=seed)
    return found[KEY_METRIC_ISC_MEAN], found[KEY_METRIC_ISC_STD] if splits > 1 else None


def kernel_distance(real: Tensor, fake: Tensor, seed: int) -> tuple[float, float]:
    """Unbiased squared MMD under the kernel (x y / d + 1)^3 (Bińkowski et al. 2018) of `[N, d]` and `[M, d]` float32.

    Mean and standard deviation over 100 random subsets of 1,000 images each, or of as many as there are.
    """
    size = min(KERNEL_SUBSET_SIZE, len(real), len(fake))
    found = kid_features_to_metric(
        fake, real, kid_subsets=KERNEL_SUBSETS, kid_subset_size=size, rng_seed=seed, verbose=False
    )
    return found[KEY_METRIC_KID_MEAN], found[KEY_METRIC_KID_STD]


def precision_and_recall(real: Tensor, fake: Tensor) -> tuple[float, float]:
    """Improved precision and recall (Kynkäänniemi et al. 2019) of features `[N, d]` and `[M, d]` float32.

    The share of generated images inside a ball around a real one up to its 3rd nearest neighbour, and the reverse.
    """
    found = prc_features_to_metric(
        fake, real, prc_neighborhood=PRECISION_NEIGHBOURS, prc_batch_size=_ROWS_OF_DISTANCES, save_cpu_ram=True,
        verbose=False,
    )  # fmt: skip
    return found[KEY_METRIC_PRECISION], found[KEY_METRIC_RECALL]


def density_and_coverage(real: Tensor, fake: Tensor) -> tuple[float, float]:
    """Density and coverage (Naeem et al. 2020) of `[N, d]` and `[M, d]`: balls up to the 5th nearest real neighbour.

    In how many real balls a generated image lies, over 5 and averaged; the share of real balls with one inside.
    """
    inside = covered = 0
    for centres in real.split(_ROWS_OF_DISTANCES):
        radii = torch.cdist(centres, real).kthvalue(DENSITY_NEIGHBOURS + 1).values  # the 1st is the centre itself
        within = torch.cdist(centres, fake) < radii[:, None]
        inside += int(within.sum())
        covered += int(within.any(dim=1).sum())
    return inside / (DENSITY_NEIGHBOURS * len(fake)), covered / len(real)


def mode_coverage(logits: Tensor) -> tuple[int, float]:
    """How many modes occur among the most probable ones of logits `[B, modes]`, and KL to uniform, in nats."""
    counts = torch.bincount(logits.argmax(dim=1), minlength=logits.shape[1]).double()
    frequencies = counts[counts > 0] / counts.sum()
    divergence = (frequencies * (frequencies * logits.shape[1]).log()).sum()
    return int((counts > 0).sum()), float(divergence)
