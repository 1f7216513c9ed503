"""What the benchmarks share: contenders measured in turns, the machine they ran on, and files of results."""

import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from srgan.files import write_json
from srgan.memory import keep_freed_memory
from srgan.provenance import commit, processor, versions

RESULTS = Path(__file__).parent / "results"


def in_turns(
    acts: Mapping[str, Callable[[], float]], repetitions: int, warm_ups: int = 1, pause: float = 0.0
) -> dict[str, list[float]]:
    """What each act measured, one act after the other and round again, so that noise hits all alike.

    Args:
        acts: name -> a call that returns its own measurement, seconds for instance.
        repetitions: rounds that count.
        warm_ups: rounds before them that do not.
        pause: seconds before each act, for the idle threads of the one before to fall asleep.
    """
    found: dict[str, list[float]] = {name: [] for name in acts}
    for round_ in range(warm_ups + repetitions):
        for name, act in acts.items():
            time.sleep(pause)
            measured = act()
            if round_ >= warm_ups:
                found[name].append(measured)
    return found


def timed(act: Callable[[], object]) -> Callable[[], float]:
    """An act that returns its seconds of wall time."""

    def measured() -> float:
        start = time.perf_counter()
        act()
        return time.perf_counter() - start

    return measured


def medians(found: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """The median of what each act measured."""
    return {name: statistics.median(values) for name, values in found.items()}


def all_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def computes_bf16() -> bool:
    """Whether the processor multiplies bfloat16 matrices by instructions of its own."""
    flags = Path("/proc/cpuinfo")
    return flags.exists() and bool({"avx512_bf16", "amx_bf16"} & set(flags.read_text().split()))


def environment(threads: int) -> dict[str, Any]:
    """The head of a file of results: to be taken before anything is measured, for the load of the machine."""
    return {
        "hardware": {
            "device": processor(),
            "cores": all_cores(),
            "threads": threads,
            "bf16 instructions": computes_bf16(),
            "load average before": round(os.getloadavg()[0], 2),
        },
        "versions": versions(),
        "commit": commit(),
    }


def use_threads(threads: int) -> None:
    """Of PyTorch in this process, which keeps freed memory as `srgan fit` does."""
    keep_freed_memory()
    torch.set_num_threads(threads)


def write_result(name: str, result: Mapping[str, Any]) -> None:
    """Writes bench/results/<name>.json."""
    write_json(RESULTS / f"{name}.json", dict(result))
