"""Two methods compared in pairs: the same seed, so the same noise, images and order under both. No torch in here."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest, bootstrap

LEVEL = 0.05
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Comparison:
    """A second method against a first one, over n pairs.

    Attributes:
        ratios: second / first of each pair.
        ahead: in how many pairs the second is better.
        lower_is_better: of the score.
    """

    ratios: tuple[float, ...]
    ahead: int
    lower_is_better: bool

    @property
    def n(self) -> int:
        return len(self.ratios)

    @property
    def change(self) -> float:
        """The geometric mean of second / first, less 1: fair to scores whose size differs between settings."""
        return float(np.exp(np.mean(np.log(self.ratios)))) - 1

    @property
    def interval(self) -> tuple[float, float] | None:
        """Of `change`: percentiles of the bootstrap over pairs; None for fewer than three."""
        if self.n < 3:
            return None
        found = bootstrap(
            (np.log(self.ratios),),
            np.mean,
            confidence_level=CONFIDENCE,
            method="percentile",
            rng=np.random.default_rng(0),
        ).confidence_interval
        return float(np.exp(found.low)) - 1, float(np.exp(found.high)) - 1

    @property
    def p(self) -> float:
        """Of the exact sign test against "the second is not better": one-sided, as the paper's claims are."""
        return float(binomtest(self.ahead, self.n, alternative="greater").pvalue)

    @property
    def smallest_p(self) -> float:
        """What the sign test gives if all pairs agree: above `LEVEL`, so few pairs decide nothing."""
        return 0.5**self.n


def compare(first: Sequence[float], second: Sequence[float], lower_is_better: bool) -> Comparison:
    """Pairs of positive scores, in the same order.

    Raises:
        ValueError: none, not as many of both, or a score that is not positive.
    """
    if not first or len(first) != len(second) or min(*first, *second) <= 0:
        raise ValueError(f"Expected pairs of positive scores, found {list(first)} and {list(second)}.")
    ahead = sum((b < a) if lower_is_better else (b > a) for a, b in zip(first, second, strict=True))
    return Comparison(tuple(b / a for a, b in zip(first, second, strict=True)), ahead, lower_is_better)


def in_words(name: str, score: str, comparison: Comparison) -> str:
    """E.g. "FID_cls: SR is ahead of SN in 13 of 15 pairs (sign test p = 0.0037), change -12 % (95 % interval ...)"."""
    c = comparison
    words = f"{score}: {name} in {c.ahead} of {c.n} pairs (one-sided sign test p = {c.p:.2g}), change {c.change:+.0%}"
    if c.interval:
        words += f" (95 % bootstrap interval {c.interval[0]:+.0%} to {c.interval[1]:+.0%})"
    if c.smallest_p > LEVEL:
        count = "1 pair decides" if c.n == 1 else f"{c.n} pairs decide"
        return f"{words}. {count} nothing: p would be {c.smallest_p:.2g} if all agreed."
    if c.p <= LEVEL:
        return f"{words}: significant."
    against = compare([1.0] * c.n, [1 / ratio for ratio in c.ratios], c.lower_is_better)
    return f"{words}: significant the other way." if against.p <= LEVEL else f"{words}: not significant."
