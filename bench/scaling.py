"""Several processes against one, and micro-batches against whole batches: what sharing and accumulating cost.

`python -m bench.scaling` prints and writes bench/results/scaling.json. The nets are A_64-128's at a smaller batch. One
process of one thread, two processes of one thread each (Lightning's ddp, gloo) at twice the batch (weak scaling) and at
the same batch (strong), and two processes that know nothing of each other (what the machine allows) take turns.
"""

import argparse
import statistics
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any

from bench.measure import all_cores, environment, in_turns, medians, write_result
from bench.worker import Worker

NETS = {"discriminator_channels": 128, "generator_channels": 256}
REPETITIONS, WARM_UPS = 7, 1
PROCESSES = 2


def turns_together(workers: list[Worker]) -> float:
    """Seconds of the slowest of several workers that iterate at the same time."""
    for worker in workers:
        worker.tell()
    return max(worker.hear().seconds for worker in workers)


def several_processes(batch_size: int, nets: Mapping[str, int], repetitions: int) -> dict[str, Any]:
    """Weak and strong scaling at a batch of each process."""
    works: dict[str, dict[str, Any]] = {
        "one process": {"batch_size": batch_size},
        "two processes, twice the batch": {"batch_size": PROCESSES * batch_size, "devices": PROCESSES},
        "two processes, the same batch": {"batch_size": batch_size, "devices": PROCESSES},
    }
    with ExitStack() as alive:
        start = partial(_start, alive, threads=1)
        workers = {name: [start({**nets, **work})] for name, work in works.items()}
        workers["two independent processes"] = [*workers["one process"], start({**nets, **works["one process"]})]
        acts: dict[str, Callable[[], float]] = {name: partial(turns_together, group) for name, group in workers.items()}
        seconds = medians(in_turns(acts, repetitions, WARM_UPS, pause=0.05))
    alone, weak, strong, independent = seconds.values()
    return {
        **nets, "batch_size_of_a_process": batch_size, "processes": PROCESSES, "threads_of_a_process": 1,
        "seconds": seconds,
        "weak_efficiency": alone / weak,
        "strong_efficiency": alone / (PROCESSES * strong),
        "independent_efficiency": alone / independent,
        "efficiency_of_exchange": independent / weak,
    }  # fmt: skip


def accumulation(batch_size: int, nets: Mapping[str, int], repetitions: int, threads: int) -> dict[str, Any]:
    """A batch in four micro-batches against the batch as a whole."""
    works: dict[str, dict[str, Any]] = {"whole": {}, "four micro-batches": {"micro_batch_size": batch_size // 4}}
    with ExitStack() as alive:
        workers = {
            name: _start(alive, {**nets, "batch_size": batch_size, **work}, threads) for name, work in works.items()
        }
        acts = {name: partial(turns_together, [worker]) for name, worker in workers.items()}
        found = in_turns(acts, repetitions, WARM_UPS, pause=0.05)
        peaks = {name: worker.turn().peak_bytes for name, worker in workers.items()}
    whole, parts = (statistics.median(values) for values in found.values())
    return {
        **nets,
        "batch_size": batch_size,
        "micro_batch_size": batch_size // 4,
        "seconds": {"whole": whole, "four micro-batches": parts},
        "overhead": parts / whole - 1,
        "peak_bytes": peaks,
    }


def _start(alive: ExitStack, work: Mapping[str, Any], threads: int) -> Worker:
    return alive.enter_context(Worker("bench.ours", work, threads))


def main() -> None:
    """Measures both."""
    parser = argparse.ArgumentParser(prog="python -m bench.scaling", description="Processes and micro-batches.")
    parser.add_argument("--batch-size", type=int, default=8, help="of a process; accumulation takes four times that")
    parser.add_argument("--channels", type=int, nargs=2, default=list(NETS.values()), metavar=("D", "G"))
    parser.add_argument("--repetitions", type=int, default=REPETITIONS)
    parser.add_argument("--threads", type=int, default=all_cores(), help="for accumulation")
    options = parser.parse_args()
    nets = dict(zip(NETS, options.channels, strict=True))
    result = environment(options.threads) | {"repetitions": options.repetitions}
    result["processes"] = several_processes(options.batch_size, nets, options.repetitions)
    show(result["processes"])
    result["accumulation"] = accumulation(4 * options.batch_size, nets, options.repetitions, options.threads)
    show(result["accumulation"])
    write_result("scaling", result)


def show(found: Mapping[str, Any]) -> None:
    """Seconds and ratios."""
    for name, value in [*found["seconds"].items(), *found.items()]:
        if isinstance(value, float):
            print(f"{name:>32} {value:8.3f}", flush=True)


if __name__ == "__main__":
    main()
