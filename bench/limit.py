"""The share of the machine's convolution rate.

The arithmetic that one real iteration executes, and its convolutions, forward and backward, replayed alone on the same
shapes, dtypes and memory formats, in turns with iterations, on all cores. The share is the time of these convolutions
over that of the iteration.
"""

import statistics
import time
from collections.abc import Iterator

import torch

from bench import ours
from bench.convolutions import Counted
from bench.harness import Row, Tables, computes_bf16
from srgan.utils.provenance import usable_cores

N_DIS, REPETITIONS = 5, 7
SIZES = {"A_64-128": (32, 64, 128, 256), "mini": (16, 16, 8, 32)}
"""Image size, batch of both players, channels of D and of G."""
PRECISIONS = {"float32": "32-true", "bf16": "bf16-mixed"}


class Recording:
    """An iteration counted, then iterations and their convolutions alone measured in turns, in seconds."""

    def __init__(self, repetitions: int) -> None:
        self.counted = Counted()
        self.iterations: list[float] = []
        self.alone: list[float] = []
        self._rest = self._turns(repetitions)

    def take(self) -> bool:
        """Between two iterations; see `TakesTurns`."""
        return next(self._rest, False)

    def _turns(self, repetitions: int) -> Iterator[bool]:
        yield True  # the first iteration allocates
        with self.counted:
            yield True
        for _ in range(repetitions):
            self.alone.append(self.counted.seconds_alone())
            start = time.perf_counter()
            yield True
            self.iterations.append(time.perf_counter() - start)


def row(name: str, precision: str, repetitions: int = REPETITIONS) -> Row:
    """Of one size in one precision."""
    image_size, batch, d, g = SIZES[name]
    found = Recording(repetitions)
    ours.train(found, batch, d, g, image_size, N_DIS, PRECISIONS[precision])
    executed = found.counted
    seconds, alone = statistics.median(found.iterations), statistics.median(found.alone)
    shares = (part / whole for part, whole in zip(found.alone, found.iterations, strict=True))
    return {
        "nets": name, "batch": batch, "precision": precision, "s per iteration": seconds,
        "convolutions alone, s": alone, "share, %": 100 * statistics.median(shares),
        "GFLOP per iteration": executed.flops / 1e9,
        "GFLOP/s of the iteration": executed.flops / seconds / 1e9,
        "of convolutions alone": executed.convolution_flops / alone / 1e9,
    }  # fmt: skip


def measure() -> Tables:
    """All sizes and precisions."""
    torch.set_num_threads(usable_cores())  # and memory as kept by `ours.train`
    return {"": [row(name, p) for name in SIZES for p in PRECISIONS if p != "bf16" or computes_bf16()]}
