"""How far the raw weights of normalized layers have outgrown their learning rate. From recorded numbers, no torch."""

from collections.abc import Mapping
from statistics import geometric_mean

MAX_GROWTH = 3.0
"""Times sigma_1 at the start, beyond which a layer counts as slow."""
SHARE_OF_LAYERS = 0.5
"""Of slow layers, from which on a discriminator does."""


class ScaleGrowth:
    """sigma_1 of layers that are divided by it, one record after the other.

    D does not see that scale, but Adam does: a step of the same length turns a larger weight less, by lr / sigma_1.

    Attributes:
        rates: layer -> sigma_1 at the first record over that at the last: lr / sigma_1 over its start, but for what the
            schedule makes of lr. 1 where a weight was all zero.
        reported: whether a record has found half of the layers below a third.
    """

    def __init__(self) -> None:
        self.rates: dict[str, float] = {}
        self.reported = False
        self._first: dict[str, float] = {}

    @property
    def start(self) -> float:
        """sigma_1 at the first record, geometric mean of the layers: the scale that brings the rate of then back."""
        return geometric_mean([first for first in self._first.values() if first > 0])

    def add(self, sigma_1: Mapping[str, float]) -> list[str]:
        """Takes the largest singular value of each layer's raw weight.

        Returns:
            the slow layers, at the first record at which they are half of all; none at any other.
        """
        for name, now in sigma_1.items():
            first = self._first.setdefault(name, now)
            self.rates[name] = first / now if first > 0 and now > 0 else 1.0
        slow = [name for name in sigma_1 if self.rates[name] < 1 / MAX_GROWTH]
        if self.reported or not slow or len(slow) < SHARE_OF_LAYERS * len(sigma_1):
            return []
        self.reported = True
        return slow
