"""Summaries of spectra, and verdicts of mode collapse and spectral collapse, from recorded numbers. No torch."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import geometric_mean
from typing import Any

import numpy as np

Row = Mapping[str, Any]
EMA = "_ema"
"""Suffix of scores of the generator's moving average."""
MAX_GROWTH, SHARE_OF_LAYERS = 3.0, 0.5
"""Times sigma_1 at the start, beyond which a layer counts as slow; share of slow layers that makes a slow D."""


@dataclass(frozen=True)
class CollapseThresholds:
    """When a run counts as collapsed; stored with every verdict.

    ValueError if one of them is negative or not finite, or `layers` or `evaluations` is 0.

    Attributes:
        fid: FID stays above this multiple of its best value so far.
        inception_score: IS stays below this multiple of its best value so far.
        modes: the number of modes stays below this multiple of its largest value so far.
        tail_mean: a layer has collapsed if its tail mean is below this multiple of its largest value so far; only
            judged values count (`Constraint.judged_values`).
        layers: share of the non-shortcut convolutions that makes a spectral collapse.
        evaluations: number of evaluations in the running median by which scores are judged; with 3, one lucky
            evaluation is no best value and one bad evaluation no collapse.
    """

    fid: float = 1.5
    inception_score: float = 0.75
    modes: float = 0.75
    tail_mean: float = 0.5
    layers: float = 0.5
    evaluations: int = 3

    def __post_init__(self) -> None:
        whole = all(0 <= limit < math.inf for limit in vars(self).values())
        if not whole or self.evaluations < 1 or self.layers == 0:
            raise ValueError(
                f"Expected thresholds of at least 0, layers above 0 and evaluations of at least 1, found {self}."
            )


@dataclass(frozen=True)
class Verdict:
    """Whether there was a collapse, and its first iteration, or None."""

    collapsed: bool
    iteration: int | None


def is_lower_better(score: str) -> bool:
    """Whether a score improves downwards: Fréchet and kernel distances and divergences do."""
    return score.startswith(("FID", "KID")) or score.removesuffix(EMA).endswith("_kl")


def running_median(values: np.ndarray, count: int) -> np.ndarray:
    """Median of each value and the `count` - 1 before it, of fewer at the beginning. `[T]` -> `[T]`."""
    return np.array([np.median(values[max(0, end - count) : end]) for end in range(1, len(values) + 1)])


def tail_mean(spectrum: np.ndarray) -> np.ndarray:
    """Mean of sigma_k / sigma_1 over k > N / 4. `[..., N]` -> `[...]`."""
    mean: np.ndarray = spectrum[..., spectrum.shape[-1] // 4 :].mean(axis=-1)
    return mean


def effective_rank(spectrum: np.ndarray) -> np.ndarray:
    """exp(entropy of sigma / sum sigma) (Roy & Vetterli 2007). `[..., N]` -> `[...]`, 1 to N; 0 where all is 0."""
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


@dataclass(frozen=True)
class SpectrumSummary:
    """Statistics of one layer's normalized spectra over time, `[T]` each.

    Attributes:
        tail_mean, effective_rank, stable_rank: see the functions of these names.
        p10, p50: 10th percentile and median of sigma_k / sigma_1.
        condition: sigma_1 / sigma_N; infinite where sigma_N is 0.
        largest_tail_mean: the largest tail mean until then, of the judged values.
        fall: their tail mean over that largest one, in [0, 1]; 1 for an all-zero weight.
        collapsed: whether `fall` is below the threshold.
    """

    tail_mean: np.ndarray
    p10: np.ndarray
    p50: np.ndarray
    effective_rank: np.ndarray
    stable_rank: np.ndarray
    condition: np.ndarray
    largest_tail_mean: np.ndarray
    fall: np.ndarray
    collapsed: np.ndarray

    def at(self, time: int) -> dict[str, float]:
        """The statistics at one time."""
        return {name: float(values[time]) for name, values in vars(self).items()}


def summarize(
    spectra: np.ndarray,
    thresholds: CollapseThresholds = CollapseThresholds(),
    largest_tail_mean: float = 0.0,
    judged: int | None = None,
) -> SpectrumSummary:
    """All statistics of a layer's spectra `[T, N]` that this package reports: sigma_k / sigma_1, from the largest.

    `largest_tail_mean` is the largest one before the first of these, and `judged` the number of singular values, from
    the largest, by which collapse is judged; None: all N. An all-zero weight has zeros for a spectrum.
    """
    tails = tail_mean(spectra[:, :judged])
    p10, p50 = np.percentile(spectra, [10, 50], axis=-1)
    last = spectra[:, -1].astype(np.float64)
    condition = np.divide(spectra[:, 0], last, where=last > 0, out=np.full(len(last), np.inf))
    largest = np.maximum(largest_tail_mean, np.maximum.accumulate(tails))
    fall = np.divide(tails, largest, where=largest > 0, out=np.ones(len(tails)))
    statistics = (tail_mean(spectra), p10, p50, effective_rank(spectra), stable_rank(spectra), condition)
    return SpectrumSummary(*statistics, largest, fall, fall < thresholds.tail_mean)


def mode_collapse(rows: Sequence[Row], thresholds: CollapseThresholds = CollapseThresholds()) -> Verdict:
    """Mode collapse of a run: from some evaluation until the end, a score stays far from its best value so far.

    `rows` are evaluations in order of "iteration", with any of "FID", "IS" (or "FID_cls", "IS_cls"), "modes". The
    verdict's iteration is the first from which one of them is beyond its threshold (`CollapseThresholds`).
    """
    found = collapsed_scores(rows, thresholds)
    return Verdict(bool(found), min(found.values(), default=None))


def collapsed_scores(rows: Sequence[Row], thresholds: CollapseThresholds = CollapseThresholds()) -> dict[str, int]:
    """The scores beyond their threshold until the end (see `mode_collapse`), each with its first such iteration."""
    factors = {"FID": thresholds.fid, "IS": thresholds.inception_score, "modes": thresholds.modes}
    found = {}
    for score in ("FID", "FID_cls", "IS", "IS_cls", "modes"):
        if rows and score in rows[0]:
            found[score] = _onset(rows, score, factors[score.removesuffix("_cls")], thresholds.evaluations)
    return {score: onset for score, onset in found.items() if onset is not None}


def _onset(rows: Sequence[Row], score: str, factor: float, evaluations: int) -> int | None:
    """First iteration from which a score stays beyond `factor` times its best value so far, or None."""
    values = running_median(np.array([row[score] for row in rows]), evaluations)
    if is_lower_better(score):
        beyond = values > factor * np.minimum.accumulate(values)
    else:
        beyond = values < factor * np.maximum.accumulate(values)
    if not beyond[-1]:
        return None
    within = np.flatnonzero(~beyond)
    return int(rows[int(within[-1]) + 1 if len(within) else 0]["iteration"])


def spectral_collapse(
    iterations: np.ndarray, spectra: Mapping[str, np.ndarray], thresholds: CollapseThresholds = CollapseThresholds()
) -> Verdict:
    """Spectral collapse of a discriminator: half or more of its non-shortcut convolutions have collapsed.

    Takes iterations `[T]`, and the judged values `[T, N]` of the normalized spectra of each of these layers.
    """
    if not spectra or not len(iterations):
        return Verdict(False, None)
    share = np.mean([summarize(layer, thresholds).collapsed for layer in spectra.values()], axis=0)
    collapsed = np.flatnonzero(share >= thresholds.layers)
    return Verdict(True, int(iterations[collapsed[0]])) if len(collapsed) else Verdict(False, None)


class SpectralCollapse:
    """`spectral_collapse`, record by record."""

    def __init__(self, thresholds: CollapseThresholds) -> None:
        self.thresholds = thresholds
        self.falls: dict[str, float] = {}  # layer -> its tail mean over its largest so far, in [0, 1]
        self.reported = False  # whether the collapse was returned
        self._largest_tail_means: dict[str, float] = {}

    def add(self, spectra: Mapping[str, np.ndarray]) -> list[str]:
        """Adds the judged values `[N]` of each layer; returns the collapsed layers once, when half or more are."""
        fallen = []
        for name, spectrum in spectra.items():
            now = summarize(spectrum[None], self.thresholds, self._largest_tail_means.get(name, 0.0)).at(0)
            self._largest_tail_means[name], self.falls[name] = now["largest_tail_mean"], now["fall"]
            fallen += [name] if now["collapsed"] else []
        if self.reported or not fallen or len(fallen) < self.thresholds.layers * len(spectra):
            return []
        self.reported = True
        return fallen


def reported_scores(rows: Sequence[Row], verdict: Verdict, ranking: str) -> Row:
    """The evaluation in tables: the last, or after a mode collapse the best before it by `ranking` (as in Table II)."""
    if verdict.iteration is None:
        return rows[-1]
    before = [row for row in rows if row["iteration"] < verdict.iteration] or list(rows[:1])
    best = min if is_lower_better(ranking) else max
    return best(before, key=lambda row: row[ranking])


class ScaleGrowth:
    """sigma_1 of layers that are divided by it, one record after the other.

    D does not see that scale, but Adam does: a step of the same length turns a larger weight less, by lr / sigma_1.
    `rates` are by layer sigma_1 at the first record over that at the last, 1 where a weight was all zero: what has
    become of lr / sigma_1, but for the schedule of lr.
    """

    def __init__(self) -> None:
        self.rates: dict[str, float] = {}
        self._reported = False
        self._first: dict[str, float] = {}

    @property
    def start(self) -> float:
        """sigma_1 at the first record, geometric mean of the layers: the scale that brings the rate of then back."""
        return geometric_mean([first for first in self._first.values() if first > 0])

    def add(self, sigma_1: Mapping[str, float]) -> list[str]:
        """Takes sigma_1 of each layer's raw weight; returns the slow layers once, when half or more are."""
        for name, now in sigma_1.items():
            first = self._first.setdefault(name, now)
            self.rates[name] = first / now if first > 0 and now > 0 else 1.0
        slow = [name for name in sigma_1 if self.rates[name] < 1 / MAX_GROWTH]
        if self._reported or not slow or len(slow) < SHARE_OF_LAYERS * len(sigma_1):
            return []
        self._reported = True
        return slow
