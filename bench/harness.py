"""What the benchmarks share: contenders measured in turns, and the machine that they ran on."""

import os
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from srgan.utils.provenance import commit, processor, usable_cores, versions

PAUSE = 0.05  # seconds before each act: idle threads of one process or library spin for a while, and slow down the next
Row = Mapping[str, Any]
Tables = Mapping[str, list[Row]]
"""What a benchmark measured: a caption ("" if there is one table) -> rows, each a column's heading -> its value."""


def in_turns(acts: Mapping[str, Callable[[], float]], repetitions: int, warm_ups: int = 1) -> dict[str, list[float]]:
    """What each act measured, one act after the other and round again, so that noise hits all alike."""
    found: dict[str, list[float]] = {name: [] for name in acts}
    for round_ in range(warm_ups + repetitions):
        for name, act in acts.items():
            time.sleep(PAUSE)
            measured = act()
            if round_ >= warm_ups:
                found[name].append(measured)
    return found


def medians(found: Mapping[str, list[float]]) -> dict[str, float]:
    """The median of what each act measured."""
    return {name: statistics.median(values) for name, values in found.items()}


def seconds_of(act: Callable[[], object]) -> float:
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def computes_bf16() -> bool:
    """Whether the processor multiplies bfloat16 matrices by instructions of its own."""
    flags = Path("/proc/cpuinfo")
    return flags.exists() and bool({"avx512_bf16", "amx_bf16"} & set(flags.read_text().split()))


def environment() -> dict[str, Any]:
    """The head of a file of results: to be taken before anything is measured, for the load of the machine."""
    return {
        "hardware": {
            "device": processor(),
            "cores": usable_cores(),
            "bf16 instructions": computes_bf16(),
            "load average before": round(os.getloadavg()[0], 2),
        },
        "versions": versions(),
        "commit": commit(),
    }
