"""How time and memory of an iteration grow with the batch and with the channels.

`python -m bench.growth` prints tables and writes bench/results/growth.json. Each point is a process of its own, so that
its peak memory is its own; what a process with the smallest nets holds is in every point. The exponents are slopes of
straight lines through (log size, log value): 1 is proportional, 2 is quadratic.
"""

import argparse
import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np

from bench.measure import all_cores, environment, write_result
from bench.worker import Worker

BATCHES, BATCH_NETS = (16, 32, 64, 128, 256, 512, 1024), {"discriminator_channels": 32, "generator_channels": 64}
CHANNELS, CHANNELS_BATCH = (32, 64, 128, 256), 16
SMALLEST = {"batch_size": 1, "discriminator_channels": 1, "generator_channels": 1}
REPETITIONS = 5
LARGE = 3  # points at the large end, for the exponent that arithmetic rules


def point(work: dict[str, int], threads: int, repetitions: int) -> dict[str, Any]:
    """Median seconds and peak memory of an iteration."""
    with Worker("bench.ours", work, threads) as worker:
        seconds = statistics.median(worker.turn().seconds for _ in range(repetitions))
        return {**work, "seconds": seconds, "peak_bytes": worker.turns[-1].peak_bytes}


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """Slope of the line through the points in logarithms, by least squares."""
    slope, _ = np.polyfit(np.log(sizes), np.log(values), 1)
    return float(slope)


def curve(sizes: Sequence[int], works: Sequence[dict[str, int]], idle: int, options: Any) -> dict[str, Any]:
    """The points of one curve, and the exponents of time and of memory above that of an idle process."""
    rows = []
    for size, work in zip(sizes, works, strict=True):
        rows.append({"size": size, **point(work, options.threads, options.repetitions)})
        print(f"{size:>6} {rows[-1]['seconds']:8.3f} s {rows[-1]['peak_bytes'] / 1e9:6.2f} GB", flush=True)
    seconds = [row["seconds"] for row in rows]
    memory = [max(row["peak_bytes"] - idle, 1) for row in rows]
    return {
        "rows": rows,
        "time_exponent": exponent(sizes, seconds),
        "time_exponent_at_the_large_end": exponent(sizes[-LARGE:], seconds[-LARGE:]),
        "memory_exponent_at_the_large_end": exponent(sizes[-LARGE:], memory[-LARGE:]),
    }


def main() -> None:
    """Measures both curves."""
    parser = argparse.ArgumentParser(prog="python -m bench.growth", description="Growth of time and memory.")
    parser.add_argument("--threads", type=int, default=all_cores())
    parser.add_argument("--repetitions", type=int, default=REPETITIONS)
    parser.add_argument("--batches", type=int, nargs="+", default=list(BATCHES))
    parser.add_argument("--channels", type=int, nargs="+", default=list(CHANNELS), help="of D and of G")
    options = parser.parse_args()
    result = environment(options.threads) | {"repetitions": options.repetitions}
    idle = point(SMALLEST, options.threads, 1)["peak_bytes"]
    result["idle_bytes"] = idle
    works = [{"batch_size": batch, **BATCH_NETS} for batch in options.batches]
    print(f"batch, with {BATCH_NETS}")
    result["batch"] = {**BATCH_NETS} | curve(options.batches, works, idle, options)
    works = [
        {"batch_size": CHANNELS_BATCH, "discriminator_channels": width, "generator_channels": width}
        for width in options.channels
    ]
    print(f"channels of D and of G, at batch {CHANNELS_BATCH}")
    result["channels"] = {"batch_size": CHANNELS_BATCH} | curve(options.channels, works, idle, options)
    for name in ("batch", "channels"):
        found = {key: round(value, 2) for key, value in result[name].items() if key.startswith(("time", "memory"))}
        print(f"{name}: {found}")
    write_result("growth", result)


if __name__ == "__main__":
    main()
