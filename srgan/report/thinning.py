"""How much of a history goes into a page, and how spectra are packed."""

from collections.abc import Iterable

import numpy as np

LEVELS = 4095
"""Steps of a packed sqrt(sigma_k / sigma_1): 0.05 % at 1, 5 % at 1e-4, so that a logarithmic axis stays honest."""


def kept_times(iterations: np.ndarray, most: int, required: Iterable[int | None] = ()) -> np.ndarray:
    """Which of `[T]` increasing iterations to keep: first, last, the required ones, and evenly spread others.

    Args:
        iterations: `[T]`.
        most: how many, where the required ones leave room.
        required: iterations whose record at or before them has to stay.

    Returns:
        increasing indexes into `iterations`.
    """
    if len(iterations) <= most:
        return np.arange(len(iterations))
    wanted = [t for t in required if t is not None and t >= iterations[0]]
    needed = {0, len(iterations) - 1} | {int(np.searchsorted(iterations, t, side="right")) - 1 for t in wanted}
    spread = np.linspace(iterations[0], iterations[-1], max(most - len(needed), 0) + 2)[1:-1]
    return np.unique([*needed, *(int(np.abs(iterations - t).argmin()) for t in spread)])


def kept_positions(N: int, most: int) -> np.ndarray:
    """Which of k = 1 ... N to keep, as indexes from 0: the first, the last, and evenly spread ones between."""
    return np.unique(np.linspace(0, N - 1, min(N, most)).round().astype(int))


def pack_spectra(spectra: np.ndarray) -> bytes:
    """`[T, K]` ratios in [0, 1] as 2 T K bytes that compress well.

    Square roots in steps of 1 / LEVELS; each row as its difference to the one before, zigzag coded (0, -1, 1, -2 ...
    as 0, 1, 2, 3 ...); all low bytes, then all high bytes. `page/data.js` undoes it.
    """
    steps = np.rint(np.sqrt(np.clip(spectra, 0, 1)) * LEVELS).astype(np.int32)
    differences = np.diff(steps, axis=0, prepend=0)
    zigzag: np.ndarray = ((differences << 1) ^ (differences >> 31)).astype("<u2")
    low, high = zigzag & 255, zigzag >> 8
    return bytes(low.astype(np.uint8)) + bytes(high.astype(np.uint8))


def rounded(values: np.ndarray) -> list[float | None]:
    """Four significant digits; None where there is no finite number."""
    return [float(f"{value:.4g}") if np.isfinite(value) else None for value in np.asarray(values, float).tolist()]


def histograms(outputs: np.ndarray, low: float, high: float, bins: int) -> list[list[int]]:
    """`[T, M]` -> T rows of counts in equal bins from low to high; what lies beyond counts in the outermost bins."""
    edges = np.linspace(low, high, bins + 1)
    return [np.histogram(np.clip(row, low, high), edges)[0].tolist() for row in outputs.astype(float)]
