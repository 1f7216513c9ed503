"""`make reproduce-sweep`, Fig. 8, 11 and 12: SR-s at i = 0.25 N ... N, and SR-d, beside the runs of Table II."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from reproduce.launcher.launcher import Campaign, perform
from reproduce.launcher.options import Options
from reproduce.plan.run import Run, Scale
from reproduce.plan.settings import METHODS
from reproduce.plan.table_runs import TableRun, rows, table_run, table_runs
from reproduce.plan.variants import SR_D, at_fraction

FRACTIONS = (0.25, 0.5, 0.75, 1.0)
"""i / N of SR-s, as Fig. 8 has them."""
TABLE_FRACTION = 0.5  # of configs/sr-s.yaml, with which Table II is made

# The settings of Fig. 11 and 12 are lost in the paper's text, Fig. 8 shows all groups: one setting of each.
SWEEP_DEFAULT: dict[Scale, tuple[str, ...]] = {
    "mini": ("A_64-128", "C_64-32"),
    "small": ("C_64-32",),
    "paper": ("A_64-128", "B_128-64", "C_32-32", "D_128-256", "E_256-64"),
}


def experiment(options: Options) -> Campaign:
    """One sweep for each setting and seed."""
    names, seeds = options.settings or SWEEP_DEFAULT[options.scale], options.seeds or [1]

    def finish(finished: Sequence[Run], console: Console) -> None:
        console.print(f'Now: make reproduce-figures SCALE={options.scale} FIGURES="8 11 12"', highlight=False)

    runs = sweep_runs(options.scale, names, seeds, options.runs, options.with_images())
    return Campaign(runs, options.runs / "sweep" / options.scale, finish)


def sweep_runs(
    scale: Scale, names: Iterable[str], seeds: Iterable[int], runs: Path, overrides: Mapping[str, Any] | None = None
) -> list[TableRun]:
    """SN (whose forward pass is that of i = 1), SR-s at every i / N, SR-d; where Table II has the run, its own one.

    `runs` is the folder that holds `table2/<scale>` and `sweep/<scale>`.
    """
    seeds, table, root = list(seeds), runs / "table2" / scale, runs / "sweep" / scale
    variants = {f"sr-s-{fraction:g}": at_fraction(fraction) for fraction in FRACTIONS} | {"sr-d": SR_D}
    of_table = {"sr-s": f"sr-s-{TABLE_FRACTION:g}", "sr-d": "sr-d"}
    found = []
    for setting in rows(names):
        for seed in seeds:
            sn, sr = table_runs(scale, [setting.name], METHODS, [seed], table, overrides)
            own = of_table[setting.compensation]
            found.append(sn)
            found += [
                sr if part == own else table_run(scale, setting, seed, root, overrides, variant, part)
                for part, variant in variants.items()
            ]
    return found


main = partial(perform, experiment, __doc__, "scale settings seeds images")

if __name__ == "__main__":
    sys.exit(main())
