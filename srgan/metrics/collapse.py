"""Verdicts of mode collapse and spectral collapse, from the recorded numbers alone (no torch)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Row = Mapping[str, Any]


@dataclass(frozen=True)
class CollapseThresholds:
    """When a run counts as collapsed; stored with every verdict.

    Attributes:
        fid: times the best FID so far, above which FID has to stay.
        inception_score: times the best IS so far, below which IS has to stay.
        modes: times the largest number of modes so far, below which it has to stay.
        tail_mean: times a layer's largest tail mean so far, below which the layer has collapsed.
        layers: share of the non-shortcut convolutions that makes a spectral collapse.
    """

    fid: float = 1.5
    inception_score: float = 0.75
    modes: float = 0.75
    tail_mean: float = 0.5
    layers: float = 0.5


@dataclass(frozen=True)
class Verdict:
    """Whether something collapsed, and the first iteration at which it had; None if it did not."""

    collapsed: bool
    iteration: int | None


def is_lower_better(score: str) -> bool:
    """Whether a score improves downwards: Fréchet and kernel distances and divergences do."""
    return score.startswith(("FID", "KID")) or score.endswith("_kl")


def tail_mean(spectrum: np.ndarray) -> np.ndarray:
    """Mean of sigma_k / sigma_1 over k > N / 4. `[..., N]` -> `[...]`."""
    mean: np.ndarray = spectrum[..., spectrum.shape[-1] // 4 :].mean(axis=-1)
    return mean


def effective_rank(spectrum: np.ndarray) -> np.ndarray:
    """exp(entropy of sigma / sum sigma) (Roy & Vetterli 2007). `[..., N]` -> `[...]`, 1 to N; 0 where all is 0.

    N equal singular values have N, a single one has 1. Dividing a spectrum by sigma_1 changes nothing.
    """
    total = spectrum.sum(axis=-1, keepdims=True, dtype=np.float64)
    p = np.divide(spectrum, total, where=total > 0, out=np.zeros(spectrum.shape))
    entropy = -(p * np.log(p, where=p > 0, out=np.zeros(p.shape))).sum(axis=-1)
    rank: np.ndarray = np.where(total[..., 0] > 0, np.exp(entropy), 0.0)
    return rank


def stable_rank(spectrum: np.ndarray) -> np.ndarray:
    """sum sigma^2 / sigma_1^2. `[..., N]` from the largest -> `[...]`, 1 to N; 0 where all is 0."""
    ratios = np.divide(spectrum, spectrum[..., :1], where=spectrum[..., :1] > 0, out=np.zeros(spectrum.shape))
    rank: np.ndarray = np.square(ratios).sum(axis=-1)
    return rank


def mode_collapse(rows: Sequence[Row], thresholds: CollapseThresholds = CollapseThresholds()) -> Verdict:
    """Mode collapse of a run: from some evaluation until the end, a score stays far from its best so far.

    Args:
        rows: evaluations in order of "iteration", with any of "FID", "IS" (or "FID_cls", "IS_cls"), "modes".
        thresholds: how far is far.

    Returns:
        The first iteration from which FID stays above, or IS below, or the number of modes below its
        threshold, whichever comes first.
    """
    found = collapsed_scores(rows, thresholds)
    return Verdict(bool(found), min(found.values(), default=None))


def collapsed_scores(rows: Sequence[Row], thresholds: CollapseThresholds = CollapseThresholds()) -> dict[str, int]:
    """The scores of `mode_collapse` that stay far from their best, and from which iteration on."""
    factors = {
        "FID": thresholds.fid,
        "FID_cls": thresholds.fid,
        "IS": thresholds.inception_score,
        "IS_cls": thresholds.inception_score,
        "modes": thresholds.modes,
    }
    onsets = {score: _onset(rows, score, factor) for score, factor in factors.items() if rows and score in rows[0]}
    return {score: onset for score, onset in onsets.items() if onset is not None}


def _onset(rows: Sequence[Row], score: str, factor: float) -> int | None:
    """First iteration from which one score stays beyond `factor` times its best so far; None if it does not."""
    values = np.array([row[score] for row in rows])
    if is_lower_better(score):
        beyond = values > factor * np.minimum.accumulate(values)
    else:
        beyond = values < factor * np.maximum.accumulate(values)
    if not beyond[-1]:
        return None
    within = np.flatnonzero(~beyond)
    return int(rows[int(within[-1]) + 1 if len(within) else 0]["iteration"])


def collapsed_layers(
    spectra: Mapping[str, np.ndarray], thresholds: CollapseThresholds = CollapseThresholds()
) -> dict[str, np.ndarray]:
    """Where each layer's tail mean lies below its threshold times the largest so far.

    Args:
        spectra: layer name -> `[T, N]` normalized spectra over time.
        thresholds: how far is far.

    Returns:
        layer name -> `[T]` bool.
    """
    return fallen_tails({name: tail_mean(spectrum) for name, spectrum in spectra.items()}, thresholds)


def fallen_tails(
    tails: Mapping[str, np.ndarray], thresholds: CollapseThresholds = CollapseThresholds()
) -> dict[str, np.ndarray]:
    """`collapsed_layers` from tail means over time, layer name -> `[T]`."""
    return {name: tail < thresholds.tail_mean * np.maximum.accumulate(tail) for name, tail in tails.items()}


def spectral_collapse(
    iterations: np.ndarray,
    spectra: Mapping[str, np.ndarray],
    thresholds: CollapseThresholds = CollapseThresholds(),
) -> Verdict:
    """Spectral collapse of a discriminator: half or more of its non-shortcut convolutions have collapsed.

    Args:
        iterations: `[T]`.
        spectra: non-shortcut convolution -> `[T, N]` normalized spectra.
        thresholds: what counts as collapsed, and how many layers it takes.

    Returns:
        The first recorded iteration at which it is so.
    """
    if not spectra or not len(iterations):
        return Verdict(False, None)
    share = np.mean(list(collapsed_layers(spectra, thresholds).values()), axis=0)
    collapsed = np.flatnonzero(share >= thresholds.layers)
    return Verdict(True, int(iterations[collapsed[0]])) if len(collapsed) else Verdict(False, None)


def reported_scores(rows: Sequence[Row], verdict: Verdict, ranking: str) -> Row:
    """The evaluation that a table shows: the last one, or the best before the collapse (as Table II does).

    Args:
        rows: evaluations in order, at least one.
        verdict: of mode collapse.
        ranking: the score that decides which is best.
    """
    if verdict.iteration is None:
        return rows[-1]
    before = [row for row in rows if row["iteration"] < verdict.iteration] or list(rows[:1])
    best = min if is_lower_better(ranking) else max
    return best(before, key=lambda row: row[ranking])
