"""A training iteration beside a peer's.

Whole iterations of 32 x 32 nets: 5 updates of D and one of G at the same batch, images in memory. *srgan* is
`pl.Trainer.fit`; *mimicry* is torch-mimicry through its own training steps. Every contender is a process of its own on
all cores; they take turns, one iteration each. srgan keeps freed memory, as `srgan fit` does;
*compiled* is `compile`. Ratios are of iterations per second: above 1 is faster than mimicry. Memory is
the peak of the process; start-up lasts until its first iteration is done, imports included (mimicry's without the
libraries that an iteration does not need).
"""

import statistics
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

from bench import mimicry
from bench.harness import Row, Tables, computes_bf16, in_turns
from bench.worker import Worker
from srgan.utils.provenance import usable_cores

SIZES = [(64, 128, 256, 5, 0), (64, 32, 256, 5, 0), (16, 8, 32, 15, 2), (16, 16, 64, 15, 2), (16, 32, 64, 15, 2)]
"""Batch, channels of D and of G, iterations that count and those before them. The first is the paper's A_64-128."""
NARROW = 64  # channels of G up to which an iteration is overhead as much as arithmetic
BF16 = {"precision": "bf16-mixed"}
CONTENDERS: dict[str, tuple[str, dict[str, Any]]] = {
    "srgan": ("bench.ours", {}),
    "srgan compiled": ("bench.ours", {"compile": True}),
    "srgan bf16": ("bench.ours", BF16),
    "srgan bf16, compiled": ("bench.ours", BF16 | {"compile": True}),
    "mimicry": ("bench.mimicry", {}),
}
"""Name -> its worker, and what that is told besides the sizes."""


def taking_part(generator_channels: int) -> Iterator[str]:
    """Who runs on this machine; the compiled ones at the narrow nets only, where overhead rules."""
    for name in CONTENDERS:
        possible = ("bf16" not in name or computes_bf16()) and (name != "mimicry" or mimicry.is_installed())
        if possible and ("compiled" not in name or generator_channels <= NARROW):
            yield name


def rows(batch: int, d: int, g: int, repetitions: int, warm_ups: int) -> list[Row]:
    """A row for each contender, all alive at once and working in turns."""
    nets = {"batch_size": batch, "discriminator_channels": d, "generator_channels": g}
    with ExitStack() as alive:
        workers = {}
        for name in taking_part(g):
            module, options = CONTENDERS[name]
            workers[name] = alive.enter_context(Worker(module, nets | options, usable_cores()))
        found = in_turns({name: worker.turn for name, worker in workers.items()}, repetitions, warm_ups)
    seconds = {name: statistics.median(values) for name, values in found.items()}
    return [
        {
            "batch": batch, "D": d, "G": g, "contender": name,
            "s per iteration": seconds[name], "fastest": min(found[name]), "slowest": max(found[name]),
            **({"to mimicry": seconds["mimicry"] / seconds[name]} if "mimicry" in seconds else {}),
            "memory, GB": worker.peak_bytes / 1e9, "start-up, s": worker.start_up_seconds,
        }
        for name, worker in workers.items()
    ]  # fmt: skip


def measure() -> Tables:
    """All sizes."""
    return {"": [row for size in SIZES for row in rows(*size)]}
