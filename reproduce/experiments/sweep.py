"""`make reproduce-sweep`, Fig. 8, 11 and 12: SR-s at i = 0.25 N ... N, and SR-d, beside the runs of Table II."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from reproduce.launcher.launcher import Campaign, perform
from reproduce.launcher.options import Options, with_images
from reproduce.plan.run import FRACTION, Run, Scale
from reproduce.plan.settings import METHODS, Setting
from reproduce.plan.table_runs import MINI_DEFAULT, TableRun, rows, table_run

FRACTIONS = (0.25, 0.5, 0.75, 1.0)
"""i / N of SR-s, as Fig. 8 has them."""
TABLE_FRACTION = 0.5  # of configs/sr-s.yaml, with which Table II is made

# The settings of Fig. 11 and 12 are lost in the paper's text, Fig. 8 shows all groups: one setting of each.
SWEEP_DEFAULT: dict[Scale, tuple[str, ...]] = {
    "mini": ("A_64-128", "C_32-32"),
    "small": ("C_64-32",),
    "paper": MINI_DEFAULT,
}


def experiment(options: Options) -> Campaign:
    """One sweep for each setting and seed.

    Raises:
        ValueError: a setting that Table I does not have.
    """
    scale: Scale = options.scale
    names = options.settings or SWEEP_DEFAULT[scale]

    def finish(finished: Sequence[Run], console: Console) -> None:
        console.print(f'Now: make reproduce-figures SCALE={scale} FIGURES="8 11 12"', highlight=False)

    runs = sweep_runs(scale, names, options.seeds or [1], options.runs, with_images(options))
    return Campaign(runs, options.runs / "sweep" / scale, finish)


def sweep_runs(
    scale: Scale, names: Iterable[str], seeds: Iterable[int], runs: Path, overrides: Mapping[str, Any] | None = None
) -> list[TableRun]:
    """SN (whose forward pass is that of i = 1), SR-s at every i / N, SR-d; where Table II has the run, its own one.

    Args:
        scale: "mini", "small" or "paper".
        names: rows of Table I.
        seeds: one sweep for each.
        runs: the folder that holds `table2/<scale>` and `sweep/<scale>`.
        overrides: settings of every run.

    Raises:
        ValueError: a setting that Table I does not have.
    """
    seeds = list(seeds)
    return [
        run
        for setting in rows(names)
        for seed in seeds
        for run in _sweep(scale, setting, seed, runs, dict(overrides or {}))
    ]


def _sweep(scale: Scale, setting: Setting, seed: int, runs: Path, overrides: dict[str, Any]) -> list[TableRun]:
    table, root = runs / "table2" / scale, runs / "sweep" / scale
    sn, sr = (table_run(scale, setting, method, seed, table, overrides) for method in METHODS)

    def further(constraint: str, fraction: float | None) -> TableRun:
        if constraint == setting.compensation and fraction in (None, TABLE_FRACTION):
            return sr
        if fraction is None:
            return table_run(scale, setting, "sr", seed, root, overrides, constraint, part=constraint)
        chosen = {FRACTION: fraction, **overrides}
        return table_run(scale, setting, "sr", seed, root, chosen, constraint, part=f"{constraint}-{fraction:g}")

    return [sn, *(further("sr-s", fraction) for fraction in FRACTIONS), further("sr-d", None)]


main = partial(perform, experiment, __doc__, "scale settings seeds images")

if __name__ == "__main__":
    sys.exit(main())
