"""How much of this machine's convolution rate a whole training iteration reaches.

`python -m bench.limit` prints a table and writes bench/results/limit.json. One real iteration is recorded: its
floating-point operations and every convolution, forward and backward, with its shapes, dtype and memory formats. Then
iterations alternate with replays of those convolutions alone. The fraction is the time of the convolutions alone over
the time of an iteration. "Nominal" arithmetic is that of the same nets written the obvious way (bench/plain.py): full
resolution before each pooling and after each enlarging; gradients that nothing asks for left out as well.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from rich.console import Console
from rich.table import Table

from bench import ours, plain
from bench.convolutions import Arithmetic, Counted, seconds_alone
from bench.measure import all_cores, computes_bf16, environment, use_threads, write_result

N_DIS, REPETITIONS = 5, 7


class Size(NamedTuple):
    """Nets and batch of both players."""

    image_size: int
    batch_size: int
    discriminator_channels: int
    generator_channels: int


SIZES = {"A_64-128": Size(32, 64, 128, 256), "mini": Size(16, 16, 8, 32)}
PRECISIONS = {"float32": "32-true", "bf16": "bf16-mixed"}


class Recording:
    """An iteration counted, then iterations and their convolutions measured in turns.

    Args:
        repetitions: of both.

    Attributes:
        counted: the iteration's arithmetic and convolutions.
        iterations: seconds of each.
        alone: seconds of the convolutions alone, before each.
    """

    def __init__(self, repetitions: int) -> None:
        self.repetitions = repetitions
        self.counted = Counted()
        self.iterations: list[float] = []
        self.alone: list[float] = []
        self._rest = self._turns()

    def take(self) -> bool:
        """Between two iterations; see `TakesTurns`."""
        return next(self._rest, False)

    def _turns(self) -> Iterator[bool]:
        yield True  # the first iteration allocates
        with self.counted:
            yield True
        for _ in range(self.repetitions):
            self.alone.append(seconds_alone(self.counted.calls))
            start = time.perf_counter()
            yield True
            self.iterations.append(time.perf_counter() - start)


def nominal(size: Size) -> Arithmetic:
    """Of an iteration of the plain nets, without the weight gradients of D that its generator step drops."""
    training = plain.Training(size.discriminator_channels, size.generator_channels, size.image_size, N_DIS)
    real = torch.zeros(size.batch_size, 3, size.image_size, size.image_size)
    with Counted() as counted:
        for _ in range(N_DIS):
            training.update_discriminator(real)
        training.netD.requires_grad_(False)
        training.update_generator(size.batch_size)
    return counted.arithmetic


def measure(size: Size, precision: str, repetitions: int) -> dict[str, Any]:
    """Of one size in one precision."""
    recording = Recording(repetitions)
    ours.train(recording, **size._asdict(), n_dis=N_DIS, precision=PRECISIONS[precision])
    executed, obvious = recording.counted.arithmetic, nominal(size)
    seconds, alone = statistics.median(recording.iterations), statistics.median(recording.alone)
    pairs = zip(recording.alone, recording.iterations, strict=True)
    return {
        **size._asdict(),
        "precision": precision,
        "distinct_convolutions": len(recording.counted.calls),
        "convolutions": sum(recording.counted.calls.values()),
        "flops": executed.total,
        "convolution_flops": executed.convolutions,
        "nominal_flops": obvious.total,
        "executed_share_of_nominal": executed.total / obvious.total,
        "iteration_seconds": seconds,
        "convolutions_alone_seconds": alone,
        "gflops_alone": executed.convolutions / alone / 1e9,
        "gflops_of_iteration": executed.total / seconds / 1e9,
        "nominal_gflops_of_iteration": obvious.total / seconds / 1e9,
        "fraction": statistics.median(a / b for a, b in pairs),
    }


def main() -> None:
    """Measures all sizes and precisions."""
    parser = argparse.ArgumentParser(prog="python -m bench.limit", description="The share of the convolution rate.")
    parser.add_argument("--sizes", nargs="+", default=list(SIZES), choices=list(SIZES))
    parser.add_argument("--precisions", nargs="+", default=list(PRECISIONS), choices=list(PRECISIONS))
    parser.add_argument("--threads", type=int, default=all_cores())
    parser.add_argument("--repetitions", type=int, default=REPETITIONS)
    parser.add_argument("--batch-size", type=int, help="of all sizes, to try it out")
    options = parser.parse_args()
    use_threads(options.threads)
    result = environment(options.threads) | {"n_dis": N_DIS, "repetitions": options.repetitions, "rows": []}
    table = Table("size", "precision", "executed / nominal", "iteration, s", "GFLOP/s", "alone", "fraction")
    for name in options.sizes:
        size = SIZES[name]
        if options.batch_size:
            name, size = f"{name} at batch {options.batch_size}", size._replace(batch_size=options.batch_size)
        for precision in options.precisions:
            if precision == "bf16" and not computes_bf16():
                print("bf16 is left out: the processor has no bf16 instructions")
                continue
            row = {"size": name} | measure(size, precision, options.repetitions)
            result["rows"].append(row)
            print(f"{name}, {precision}: {row['fraction']:.0%}", flush=True)
            table.add_row(
                name, precision, f"{row['executed_share_of_nominal']:.2f}", f"{row['iteration_seconds']:.3f}",
                f"{row['gflops_of_iteration']:.0f}", f"{row['gflops_alone']:.0f}", f"{row['fraction']:.0%}",
            )  # fmt: skip
    Console(width=None if sys.stdout.isatty() else 120).print(table)
    write_result("limit", result)


if __name__ == "__main__":
    main()
