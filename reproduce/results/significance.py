"""Two methods compared in pairs: the same seed, so the same noise, images and order under both. No torch in here."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, nan

import numpy as np
from scipy.stats import binomtest, f, t

LEVEL = 0.05
INCONCLUSIVE = "inconclusive"
UNABLE = "cannot reach significance"  # so few pairs that p is above `LEVEL` even if all agree


def sign_test(count: int, n: int) -> float:
    """The p of so many or more of n by tossing a coin; 1 for none of none."""
    return float(binomtest(count, n, alternative="greater").pvalue) if n else 1.0


def decide(ahead: int, behind: int, n: int) -> bool | None:
    """What one-sided sign tests say of n pairs at `LEVEL`: True (better), False (worse), None for neither."""
    better, worse = (sign_test(count, n) <= LEVEL for count in (ahead, behind))
    return better if better or worse else None


@dataclass(frozen=True)
class Pairs:
    """A second method against a first one, over n pairs; ahead where the second is better, behind where it is worse."""

    ratios: tuple[float, ...]  # second / first of each pair
    lower_is_better: bool

    @property
    def n(self) -> int:
        return len(self.ratios)

    @property
    def ahead(self) -> int:
        return sum(ratio < 1 if self.lower_is_better else ratio > 1 for ratio in self.ratios)

    @property
    def behind(self) -> int:
        return self.n - self.ahead - self.ratios.count(1.0)

    @property
    def change(self) -> float:
        """The geometric mean of second / first, less 1: fair to scores whose size differs between settings."""
        return float(np.exp(np.mean(np.log(self.ratios)))) - 1

    @property
    def interval(self) -> tuple[float, float] | None:
        """Of `change`: Student's for the mean of log ratios; None for fewer than three pairs."""
        if self.n < 3:
            return None
        logs = np.log(self.ratios)
        margin = t.ppf(1 - LEVEL / 2, self.n - 1) * logs.std(ddof=1) / self.n**0.5
        return float(np.exp(logs.mean() - margin)) - 1, float(np.exp(logs.mean() + margin)) - 1

    @property
    def interval_text(self) -> str:
        return "{:+.0%} to {:+.0%}".format(*self.interval) if self.interval else "–"

    @property
    def change_text(self) -> str:
        return f"{self.change:+.0%}" + (f" (95 % interval {self.interval_text})" if self.interval else "")

    def p(self, two_sided: bool = False) -> float:
        """Of the exact sign test against "the second is not better"; two-sided where no direction was predicted."""
        if two_sided:
            return min(1.0, 2 * sign_test(max(self.ahead, self.behind), self.n))
        return sign_test(self.ahead, self.n)

    def p_of_t(self, two_sided: bool = False) -> float:
        """Of Student's paired test on log ratios against the same; NaN for fewer than two pairs."""
        if self.n < 2:
            return nan
        logs = np.log(self.ratios)
        mean, error = float(logs.mean()), float(logs.std(ddof=1)) / self.n**0.5
        statistic = mean / error if error else float(np.copysign(inf, mean)) if mean else 0.0
        better = -statistic if self.lower_is_better else statistic
        return float(2 * t.sf(abs(better), self.n - 1) if two_sided else t.sf(better, self.n - 1))

    @property
    def verdict(self) -> str:
        """What so many pairs decide at `LEVEL`: nothing, if p is above it even where all agree."""
        if 0.5**self.n > LEVEL:
            return UNABLE
        return {True: "better", False: "worse", None: INCONCLUSIVE}[decide(self.ahead, self.behind, self.n)]


def compare(first: Sequence[float], second: Sequence[float], lower_is_better: bool) -> Pairs:
    """Pairs of positive scores, in the same order; ValueError for none, or another number or kind of scores."""
    if not first or len(first) != len(second) or not all(0 < score < inf for score in (*first, *second)):
        raise ValueError(f"Expected pairs of positive scores, found {list(first)} and {list(second)}.")
    return Pairs(tuple(b / a for a, b in zip(first, second, strict=True)), lower_is_better)


def spread_ratio(first: Sequence[float], second: Sequence[float]) -> tuple[float, float]:
    """Variance of the first scores' logs over that of the second's; p of its two-sided F-test, of normal logs."""
    if min(len(first), len(second)) < 2 or not all(0 < score < inf for score in (*first, *second)):
        raise ValueError(f"Expected two or more positive scores of both, found {list(first)} and {list(second)}.")
    of_first, of_second = (float(np.log(scores).var(ddof=1)) for scores in (first, second))
    if not of_second:
        return (inf, 0.0) if of_first else (1.0, 1.0)
    ratio = of_first / of_second
    beyond = float(f.sf(ratio, len(first) - 1, len(second) - 1))
    return ratio, 2 * min(beyond, 1 - beyond)
