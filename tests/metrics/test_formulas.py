"""Scores as formulas: against their definitions in numpy, and where their value is known."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from srgan.metrics.formulas import (
    density_and_coverage,
    frechet_distance,
    inception_score,
    kernel_distance,
    mode_coverage,
    precision_and_recall,
)

RANDOM = np.random.default_rng(0)


def clouds(real: int, fake: int, d: int = 4, shift: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """Features of two sets `[N, d]` that overlap in part."""
    random = np.random.default_rng((real, fake, d))
    return random.normal(size=(real, d)), random.normal(size=(fake, d)) * 1.3 + shift


def as_features(real: np.ndarray, fake: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(real).float(), torch.from_numpy(fake).float()


# Fréchet distance.


def distance_of(real: np.ndarray, fake: np.ndarray) -> float:
    moments = [np.mean(real, axis=0), np.cov(real.T), np.mean(fake, axis=0), np.cov(fake.T)]
    return frechet_distance(*map(torch.from_numpy, moments))


@pytest.mark.parametrize("images", [200, 7])
def test_frechet_distance_is_its_definition(images: int) -> None:
    """With the principal root of the product C_r C_f from its own eigenvectors; 7 images do not fill 12 dimensions."""
    real, fake = clouds(images, images + 3, d=12)
    products = np.linalg.eigvals(np.cov(real.T) @ np.cov(fake.T)).astype(complex)
    expected = ((real.mean(axis=0) - fake.mean(axis=0)) ** 2).sum() + np.trace(np.cov(real.T) + np.cov(fake.T))
    assert distance_of(real, fake) == pytest.approx(expected - 2 * np.sqrt(products).real.sum(), rel=1e-6)
    assert distance_of(real, fake) == pytest.approx(distance_of(fake, real), rel=1e-6)


def test_frechet_distance_of_a_shift_is_its_square() -> None:
    real, _ = clouds(50, 50, d=3)
    assert distance_of(real, real) == pytest.approx(0, abs=1e-7)
    assert distance_of(real, real + np.array([3.0, 0, 4])) == pytest.approx(25)


# Inception score.


def score_of(logits: np.ndarray) -> float:
    """exp E_x KL(p(y|x) || p(y))."""
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return float(np.exp((p * np.log(p / p.mean(axis=0))).sum(axis=1).mean()))


LOGITS = RANDOM.integers(0, 7, (95, 8)).astype(float)


def test_inception_score_with_one_split_has_no_spread() -> None:
    mean, std = inception_score(torch.from_numpy(LOGITS), 1, seed=0)
    assert mean == pytest.approx(score_of(LOGITS))
    assert std is None


def test_inception_score_over_splits_is_the_mean_and_the_deviation_of_the_population() -> None:
    order = np.random.RandomState(4).permutation(95)  # torch-fidelity's shuffle
    edges = [0, 31, 63, 95]  # k N // 3
    parts = [score_of(LOGITS[order[start:stop]]) for start, stop in pairwise(edges)]
    assert inception_score(torch.from_numpy(LOGITS), 3, seed=4) == pytest.approx((np.mean(parts), np.std(parts)))


def test_inception_score_of_certain_classes_counts_them() -> None:
    logits = np.zeros((90, 8))
    logits[:, 3] = 2_000  # exp(-2000) is 0 in any precision
    assert inception_score(torch.from_numpy(logits), 1, 0)[0] == pytest.approx(1)
    logits[:45, 5] = 4_000
    assert inception_score(torch.from_numpy(logits), 1, 0)[0] == pytest.approx(2)


# Kernel distance.


def test_kernel_distance_is_the_unbiased_squared_mmd() -> None:
    """All images fit into a subset here, so every subset is the same."""
    real, fake = clouds(60, 60)

    def kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        cubes: np.ndarray = (x @ y.T / 4 + 1) ** 3
        return cubes

    within = [(kernel(x, x).sum() - np.trace(kernel(x, x))) / (60 * 59) for x in (real, fake)]
    mean, std = kernel_distance(*as_features(real, fake), seed=0)
    assert mean == pytest.approx(sum(within) - 2 * kernel(real, fake).mean(), rel=1e-4)
    assert std == pytest.approx(0, abs=1e-4 * mean)


def test_kernel_distance_draws_by_its_seed_and_leaves_the_global_generators_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("srgan.metrics.formulas.KERNEL_SUBSETS", 3)
    real, fake = as_features(*clouds(1_200, 1_100))
    states = torch.get_rng_state(), np.random.get_state()[1].copy()  # type: ignore[index] # noqa: NPY002
    first, again, other = (kernel_distance(real, fake, seed) for seed in (0, 0, 1))
    assert first == again != other
    assert first[1] > 0
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.array_equal(np.random.get_state()[1], states[1])  # type: ignore[index] # noqa: NPY002


# Neighbours.


def distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    found: np.ndarray = np.linalg.norm(x[:, None] - y[None], axis=2)
    return found


def radii(points: np.ndarray, k: int) -> np.ndarray:
    """Distance of each point to its k-th nearest neighbour among the others."""
    found: np.ndarray = np.sort(distances(points, points), axis=1)[:, k]
    return found


def test_precision_and_recall_are_their_definition() -> None:
    real, fake = clouds(90, 70)
    inside_real = (distances(fake, real) <= radii(real, 3)).any(axis=1).mean()
    inside_fake = (distances(real, fake) <= radii(fake, 3)).any(axis=1).mean()
    assert 0 < inside_real < 1
    assert 0 < inside_fake < 1
    assert precision_and_recall(*as_features(real, fake)) == pytest.approx((inside_real, inside_fake))


@pytest.mark.parametrize("real_count", [90, 2_050])  # one block of distances and two
def test_density_and_coverage_are_their_definition(real_count: int) -> None:
    real, fake = clouds(real_count, 70)
    inside = distances(real, fake) < radii(real, 5)[:, None]
    expected = inside.sum(axis=0).mean() / 5, inside.any(axis=1).mean()
    assert 0 < expected[1] < 1
    assert density_and_coverage(*as_features(real, fake)) == pytest.approx(expected)


# Modes.


@pytest.mark.parametrize(
    ("modes", "covered", "divergence"),
    [
        (range(1000), 1000, 0.0),
        ([417] * 50, 1, np.log(1000)),
        ([3, 7] * 20, 2, np.log(500)),
        ([5, 5, 5, 999], 2, 0.75 * np.log(750) + 0.25 * np.log(250)),
    ],
)
def test_mode_coverage_counts_modes_and_measures_their_divergence_from_uniform(
    modes: list[int], covered: int, divergence: float
) -> None:
    found = mode_coverage(nn.functional.one_hot(torch.tensor(list(modes)), 1000).float())
    assert found == (covered, pytest.approx(divergence, abs=1e-9))
