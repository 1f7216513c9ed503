"""Downsampling of histories for plots."""

from collections.abc import Iterable

import numpy as np


def kept_times(iterations: np.ndarray, most: int, required: Iterable[int | None] = ()) -> np.ndarray:
    """Indexes of those of `[T]` increasing numbers to keep: first, last, the required ones, and evenly spread others.

    Up to `most`, if the required ones are fewer: iterations whose record at or before them has to stay.
    """
    if len(iterations) <= most:
        return np.arange(len(iterations))
    wanted = [t for t in required if t is not None and t >= iterations[0]]
    needed = {0, len(iterations) - 1} | {int(np.searchsorted(iterations, t, side="right")) - 1 for t in wanted}
    spread = np.linspace(iterations[0], iterations[-1], max(most - len(needed), 0) + 2)[1:-1]
    return np.unique([*needed, *(int(np.abs(iterations - t).argmin()) for t in spread)])


def rounded(values: np.ndarray, digits: int = 4) -> list[float | None]:
    """`[T]` with so many significant digits, for JSON; None where there is no finite number."""
    return [
        float(f"{value:.{digits}g}") if np.isfinite(value) else None for value in np.asarray(values, float).tolist()
    ]
