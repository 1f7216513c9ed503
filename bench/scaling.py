"""Processes and micro-batches.

Processes of one thread (Lightning's ddp, gloo) with the nets of A_64-128, batch 8 each; efficiency against one process.
Two independent processes share the machine and nothing else. Accumulation at batch 32, on all cores.
"""

from contextlib import ExitStack
from functools import partial

from bench.harness import Tables, in_turns, medians
from bench.worker import Worker
from srgan.utils.provenance import usable_cores

NETS = {"discriminator_channels": 128, "generator_channels": 256}
BATCH, REPETITIONS = 8, 7


def turns_together(workers: list[Worker]) -> float:
    """Seconds of the slowest of several workers that iterate at the same time."""
    for worker in workers:
        worker.tell()
    return max(worker.hear() for worker in workers)


def in_groups(works: dict[str, list[dict[str, int]]], threads: int) -> tuple[dict[str, float], dict[str, int]]:
    """Groups of processes that work in turns; median seconds and peak memory of a process of each."""
    with ExitStack() as alive:
        groups = {
            name: [alive.enter_context(Worker("bench.ours", NETS | work, threads)) for work in group]
            for name, group in works.items()
        }
        acts = {name: partial(turns_together, group) for name, group in groups.items()}
        seconds = medians(in_turns(acts, REPETITIONS))
        return seconds, {name: group[0].peak_bytes for name, group in groups.items()}


def measure() -> Tables:
    """Both."""
    one, twice, whole = ({"batch_size": times * BATCH} for times in (1, 2, 4))
    seconds, _ = in_groups(
        {
            "one process": [one],
            "two processes, twice the batch": [twice | {"devices": 2}],
            "two processes, the same batch": [one | {"devices": 2}],
            "two independent processes": [one, one],
        },
        threads=1,
    )
    ideal = (seconds["one process"] * work for work in (1, 1, 0.5, 1))  # of each process
    micro_batches = {"whole": [whole], "four micro-batches": [whole | {"micro_batch_size": BATCH}]}
    parts, memory = in_groups(micro_batches, usable_cores())
    return {
        "Processes": [
            {"": name, "s per iteration": value, "efficiency, %": 100 * best / value}
            for (name, value), best in zip(seconds.items(), ideal, strict=True)
        ],
        "Accumulation": [
            {"": name, "s per iteration": value, "to whole": value / parts["whole"], "memory, GB": memory[name] / 1e9}
            for name, value in parts.items()
        ],
    }  # fmt: skip
