"""Growth with the batch and with the channels.

A process each, on all cores. Exponents are slopes in logarithms, 1 is proportional; memory's are of what is above a
process with nets of a single channel; at the large end, the last three points, arithmetic rules.
"""

import statistics
from collections.abc import Sequence

import numpy as np

from bench.harness import Row, Tables
from bench.worker import Worker
from srgan.utils.provenance import usable_cores

BATCHES, CHANNELS, REPETITIONS = (16, 32, 64, 128, 256, 512, 1024), (32, 64, 128, 256), 5
LARGE_END = 3  # points


def point(batch: int, d: int, g: int, repetitions: int = REPETITIONS) -> tuple[float, int]:
    """Median seconds of an iteration and peak memory."""
    work = {"batch_size": batch, "discriminator_channels": d, "generator_channels": g}
    with Worker("bench.ours", work, usable_cores()) as worker:
        seconds = statistics.median(worker.turn() for _ in range(repetitions))
        return seconds, worker.peak_bytes


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """Slope of the line through the points in logarithms, by least squares."""
    slope, _ = np.polyfit(np.log(sizes), np.log(values), 1)
    return float(slope)


def curve(name: str, works: Sequence[tuple[int, int, int]], sizes: Sequence[int], idle: int) -> tuple[list[Row], Row]:
    """The points, and the exponents of time and of memory above that of an idle process."""
    seconds, memory = zip(*(point(*work) for work in works), strict=True)
    above = [max(peak - idle, 1) for peak in memory]
    rows: list[Row] = [
        {name: size, "s per iteration": time, "memory, GB": peak / 1e9}
        for size, time, peak in zip(sizes, seconds, memory, strict=True)
    ]
    return rows, {
        "growth with the": name,
        "time": exponent(sizes, seconds),
        "time at the large end": exponent(sizes[-LARGE_END:], seconds[-LARGE_END:]),
        "memory at the large end": exponent(sizes[-LARGE_END:], above[-LARGE_END:]),
    }


def measure() -> Tables:
    """Both curves."""
    _, idle = point(1, 1, 1, repetitions=1)
    batches, of_batch = curve("batch", [(batch, 32, 64) for batch in BATCHES], BATCHES, idle)
    channels, of_channels = curve("channels", [(16, width, width) for width in CHANNELS], CHANNELS, idle)
    exponents = [of_batch, of_channels]
    return {"D 32, G 64": batches, "Batch 16, channels of both nets": channels, "Exponents": exponents}
