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
    """What of a run is compared."""

    label: str  # in our words
    of: Callable[[Evidence], float]  # a positive number of a run, NaN where it was not recorded
    relation: str = "above"  # the words between method and baseline: "SR-s above SN in ..."
    lower_is_better: bool = False  # of the number
    # the same number of a curve of the null model, for what spectra are compared by
    of_noise: Callable[[NullCurve], float] | None = None

    def noise(self, setting: str, method: str) -> list[float]:
        """What noise alone makes of it under a method, for each persistence; [] where there is no null model."""
        return [self.of_noise(curve) for curve in noise_of(setting) if self.of_noise and curve.method == method]

    def compared(self, pairs: Sequence[Pair]) -> Pairs:
        first, second = ([self.of(side) for side in sides] for sides in zip(*pairs, strict=True))
        return compare(first, second, self.lower_is_better)


FID = Measure("final FID_cls", lambda run: run.late("FID_cls"), "ahead of", lower_is_better=True)
IS = Measure("final IS_cls", lambda run: run.late("IS_cls"), "ahead of")
TAIL = Measure(
    "final mean tail over its largest",
    lambda run: run.fall,
    of_noise=lambda curve: float(over_largest_so_far(np.array(curve.tail))[-1]),
)
FIRST_HALF = Measure(
    "final mean of the first half",
    lambda run: float(run.mean_held[-1]),
    of_noise=lambda curve: curve.first_half[-1],
)
RECALL = Measure(
    "final recall",
    lambda run: nan if run.recall is None else max(run.recall, 1e-5),  # half of one of 50,000 images: 0 has no ratio
)
LOST_RECALL = replace(RECALL, relation="below", lower_is_better=True)
GRADIENT = Measure("final gradient norm of D over that of the first tenth", lambda run: run.kept_gradient)


def in_digits(values: Sequence[float]) -> str:
    """From the smallest to the largest, in two digits."""
    low, high = f"{min(values):.2f}", f"{max(values):.2f}"
    return low if low == high else f"{low} to {high}"
