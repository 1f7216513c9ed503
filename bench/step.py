"""Whole training iterations of srgan and its peers, side by side: iterations per second, memory, start-up.

`python -m bench.step` prints a table and writes bench/results/step.json; `--sizes 16-8-32` takes some sizes only. Each
contender is a process of its own. All of a size stay alive and are told in turns to do one iteration, so one works at
any time, and noise hits all alike. They train the same nets (32 x 32, hinge loss, Adam) on images in memory.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from bench import mimicry
from bench.measure import RESULTS, all_cores, computes_bf16, environment, in_turns, write_result
from bench.worker import Worker
from srgan.provenance import commit

N_DIS, IMAGE_SIZE = 5, 32
NARROW = 64  # channels of G up to which an iteration is overhead as much as arithmetic


class Size(NamedTuple):
    """Nets, batch, and how often an iteration is measured.

    Attributes:
        batch_size: of both players.
        discriminator_channels: of D.
        generator_channels: of G.
        repetitions: iterations that count.
        warm_ups: iterations before them that do not, besides the very first one, which start-up is measured by.
    """

    batch_size: int
    discriminator_channels: int
    generator_channels: int
    repetitions: int
    warm_ups: int

    @property
    def is_narrow(self) -> bool:
        """Whether overhead rules."""
        return self.generator_channels <= NARROW

    @property
    def nets(self) -> dict[str, int]:
        """What a contender is told."""
        names = ("batch_size", "discriminator_channels", "generator_channels")
        return {name: getattr(self, name) for name in names}


SIZES = {
    f"{batch}-{d}-{g}": Size(batch, d, g, repetitions, warm_ups)
    for batch, d, g, repetitions, warm_ups in [
        (64, 128, 256, 5, 0),
        (64, 32, 256, 5, 0),
        (16, 8, 32, 15, 2),
        (16, 16, 64, 15, 2),
        (16, 32, 64, 15, 2),
    ]
}
"""batch - channels of D - channels of G. The first is the paper's A_64-128."""


def _no_bf16() -> str | None:
    return None if computes_bf16() else "the processor has no bf16 instructions"


@dataclass(frozen=True)
class Contender:
    """A way to train.

    Attributes:
        module: its worker.
        options: what the worker is told besides the sizes.
        wide: whether it takes part where arithmetic rules, or only at the narrow nets, where overhead does.
        absent: why it cannot take part on this machine; None if it can.
    """

    module: str
    options: Mapping[str, Any] = field(default_factory=dict)
    wide: bool = True
    absent: Callable[[], str | None] = lambda: None


CONTENDERS = {
    "srgan": Contender("bench.ours"),
    "srgan joint": Contender("bench.ours", {"joint_forward": True}, wide=False),
    "srgan joint, compiled": Contender("bench.ours", {"joint_forward": True, "compile": True}, wide=False),
    "srgan bf16": Contender("bench.ours", {"precision": "bf16-mixed"}, absent=_no_bf16),
    "srgan bf16, joint, compiled": Contender(
        "bench.ours", {"precision": "bf16-mixed", "joint_forward": True, "compile": True}, wide=False, absent=_no_bf16
    ),
    "plain": Contender("bench.plain"),
    "mimicry": Contender("bench.mimicry", absent=mimicry.absent),
}
PEERS = ("plain", "mimicry")
"""Whose iterations the ratios are to."""


def measure(size: Size, contenders: Mapping[str, Contender], threads: int) -> list[dict[str, Any]]:
    """A row for each contender, all alive at once and working in turns."""
    with ExitStack() as alive:
        workers = {}
        for name, contender in contenders.items():
            work = size.nets | {"n_dis": N_DIS} | dict(contender.options)
            workers[name] = alive.enter_context(Worker(contender.module, work, threads))
            print(f"  {name}: first iteration after {workers[name].start_up_seconds:.1f} s", flush=True)
        acts = {name: partial(lambda worker: worker.turn().seconds, worker) for name, worker in workers.items()}
        found = in_turns(acts, size.repetitions, size.warm_ups)
    seconds = {name: statistics.median(values) for name, values in found.items()}
    return [
        size.nets
        | {
            "contender": name,
            "commit": commit(),
            "iterations_per_second": 1 / seconds[name],
            "seconds": found[name],
            "times_faster_than": {peer: seconds[peer] / seconds[name] for peer in PEERS if peer in seconds},
            "peak_bytes": workers[name].turns[-1].peak_bytes,
            "start_up_seconds": workers[name].start_up_seconds,
        }
        for name in contenders
    ]


def other_rows(measured_here: Mapping[str, Any], sizes: Collection[str]) -> list[dict[str, Any]]:
    """Rows of the last result whose sizes are not measured now, if they are of the same machine and versions."""
    path = RESULTS / "step.json"
    if not path.exists():
        return []
    before = json.loads(path.read_text())
    hardware = [{**result["hardware"], "load average before": None} for result in (before, measured_here)]
    if hardware[0] != hardware[1] or before["versions"] != measured_here["versions"]:
        return []
    nets = [SIZES[name].nets for name in sizes]
    return [row for row in before["rows"] if not any(row.items() >= net.items() for net in nets)]


def show(rows: list[dict[str, Any]]) -> None:
    """One size."""
    size = "batch {batch_size}, D {discriminator_channels}, G {generator_channels}".format(**rows[0])
    table = Table("contender", "seconds", "fastest, slowest", *(f"x {peer}" for peer in PEERS), "GB", title=size)
    for row in rows:
        ratios = (row["times_faster_than"].get(peer) for peer in PEERS)
        table.add_row(
            row["contender"],
            f"{1 / row['iterations_per_second']:.3f}",
            f"{min(row['seconds']):.3f}, {max(row['seconds']):.3f}",
            *(f"{ratio:.2f}" if ratio else "-" for ratio in ratios),
            f"{row['peak_bytes'] / 1e9:.2f}",
        )
    Console(width=None if sys.stdout.isatty() else 120).print(table)


def main() -> None:
    """Measures all sizes, writing after each. What the last result holds of other sizes stays."""
    parser = argparse.ArgumentParser(prog="python -m bench.step", description="Training iterations, side by side.")
    parser.add_argument("--sizes", nargs="+", default=list(SIZES), choices=list(SIZES), help="batch-D-G")
    parser.add_argument("--contenders", nargs="+", default=list(CONTENDERS), choices=list(CONTENDERS))
    parser.add_argument("--threads", type=int, default=all_cores(), help="of each contender")
    parser.add_argument("--repetitions", type=int, help="iterations that count (default: by size)")
    options = parser.parse_args()
    result = environment(options.threads) | {"n_dis": N_DIS, "image_size": IMAGE_SIZE, "absent": {}, "rows": []}
    taking_part = {}
    for name in options.contenders:
        if reason := CONTENDERS[name].absent():
            print(f"{name} is left out: {reason}")
            result["absent"][name] = reason
        else:
            taking_part[name] = CONTENDERS[name]
    with suppress(PackageNotFoundError):
        result["versions"]["torch-mimicry"] = version("torch-mimicry")
    result["rows"] = other_rows(result, options.sizes)
    for name in options.sizes:
        size = SIZES[name]
        print(f"{name}:", flush=True)
        contenders = {k: contender for k, contender in taking_part.items() if contender.wide or size.is_narrow}
        rows = measure(size._replace(repetitions=options.repetitions or size.repetitions), contenders, options.threads)
        show(rows)
        result["rows"] += rows
        write_result("step", result)


if __name__ == "__main__":
    main()
