"""`make reproduce-resume`, Section IV-A: E_2048-64 under SN up to its collapse, then SN and SR-d from there."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from reproduce.launcher.launcher import Campaign, perform
from reproduce.launcher.options import Options
from reproduce.plan.run import ITERATIONS, Run, Scale
from reproduce.plan.table_runs import TableRun, rows, table_run
from reproduce.plan.variants import SN, SR_D, Variant
from srgan.report.page import write_page
from srgan.runs.folder import RunFolder

SETTING = "E_2048-64"


class Length(NamedTuple):
    """Iterations under SN, and at the end of both branches."""

    branch: int
    end: int


LENGTHS: dict[Scale, Length] = {
    "paper": Length(40_000, 80_000),  # SN collapses at about 40,000 with batch 2048
    "mini": Length(300, 600),
}


def resume_runs(scale: Scale, root: Path, overrides: Mapping[str, Any] | None = None) -> list[TableRun]:
    """SN up to the branch, and from its last checkpoint SN and SR-d side by side."""
    if scale == "small":
        raise ValueError(f"Expected SCALE=mini or SCALE=paper, found small: {SETTING} is a row of ImageNet.")
    (setting,), length = rows([SETTING]), LENGTHS[scale]
    further = {"scores.every": 100} if scale == "mini" else {}

    def run(name: str, part: str, variant: Variant, iterations: int, after: TableRun | None = None) -> TableRun:
        chosen = {**further, ITERATIONS: iterations, **(overrides or {})}
        planned = table_run(scale, setting, 1, root, chosen, variant, part)
        return replace(planned, name=name, folder=RunFolder(root / part), after=after)

    start = run("SN", "sn-start", SN, length.branch)
    resumed = run("SN goes on", "sn", SN, length.end, start)
    return [start, resumed, run("SR-d takes over", "sr-d", SR_D, length.end, start)]


def experiment(options: Options) -> Campaign:
    """The three runs, and their page."""
    root = options.runs / "resume" / options.scale

    def finish(finished: Sequence[Run], console: Console) -> None:
        write_page(root, root / "resume.html")
        console.print(f"{root / 'resume.html'}. Fig. 6: make reproduce-figures SCALE={options.scale} FIGURES=6")

    return Campaign(resume_runs(options.scale, root, options.overrides), root, finish)


main = partial(perform, experiment, __doc__, "scale")

if __name__ == "__main__":
    sys.exit(main())
