"""What of a run is compared with another's, and with what noise alone makes of it. No torch in here."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import nan

import numpy as np

from reproduce.evidence.null_curves import NullCurve, noise_of
from reproduce.evidence.records import Evidence, over_largest_so_far
from reproduce.results.significance import Pairs, compare

Pair = tuple[Evidence, Evidence]


@dataclass(frozen=True)
class Measure:
    """What of a run is compared.

    Attributes:
        label: in our words.
        of: a positive number of a run, NaN where it was not recorded.
        relation: the words between method and baseline: "SR-s above SN in ...".
        lower_is_better: of the number.
        of_noise: the same number of a curve of the null model, for what spectra are compared by.
    """

    label: str
    of: Callable[[Evidence], float]
    relation: str = "above"
    lower_is_better: bool = False
    of_noise: Callable[[NullCurve], float] | None = None

    def noise(self, setting: str, method: str) -> list[float]:
        """What noise alone makes of it under a method, for each persistence; [] where there is no null model."""
        return [self.of_noise(curve) for curve in noise_of(setting) if self.of_noise and curve.method == method]

    def compared(self, pairs: Sequence[Pair]) -> Pairs:
        first, second = ([self.of(side) for side in sides] for sides in zip(*pairs, strict=True))
        return compare(first, second, self.lower_is_better)


FID = Measure("FID_cls at the end", lambda run: run.late("FID_cls"), "ahead of", lower_is_better=True)
IS = Measure("IS_cls at the end", lambda run: run.late("IS_cls"), "ahead of")
TAIL = Measure(
    "mean tail at the end over its largest",
    lambda run: run.fall,
    of_noise=lambda curve: float(over_largest_so_far(np.array(curve.tail))[-1]),
)
FIRST_HALF = Measure(
    "mean of the first half at the end",
    lambda run: float(run.mean_held[-1]),
    of_noise=lambda curve: curve.first_half[-1],
)
RECALL = Measure(
    "recall of the last iteration",
    lambda run: nan if run.recall is None else max(run.recall, 1e-5),  # half of one of 50,000 images: 0 has no ratio
)
LOST_RECALL = replace(RECALL, relation="below", lower_is_better=True)
GRADIENT = Measure("D's gradient norm at the end over that of the first tenth", lambda run: run.kept_gradient)


def in_digits(values: Sequence[float]) -> str:
    """From the smallest to the largest, in two digits."""
    low, high = f"{min(values):.2f}", f"{max(values):.2f}"
    return low if low == high else f"{low} to {high}"
