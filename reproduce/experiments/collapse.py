"""`make reproduce-collapse`: group C at scale small: SN, SR-s, SR-d and SR-s after SN, controls."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from reproduce.evidence.claims import DEFAULT, SEEDS
from reproduce.evidence.page import add_evidence
from reproduce.evidence.records import evidence_of
from reproduce.launcher.launcher import Campaign, perform
from reproduce.launcher.options import Options
from reproduce.plan.run import Run
from reproduce.plan.settings import METHODS
from reproduce.plan.table_runs import TableRun, table_run, table_runs
from reproduce.plan.variants import COLLAPSE


def collapse_runs(
    names: Iterable[str], seeds: Iterable[int], runs: Path, overrides: Mapping[str, Any] | None = None
) -> list[TableRun]:
    """SN and SR-s, which are those of Table II at scale small, for each setting and seed; then the others.

    `runs` is the folder that holds `table2/small` and `collapse`.
    """
    pairs = table_runs("small", names, METHODS, seeds, runs / "table2" / "small", overrides)
    return pairs + [
        table_run("small", sn.setting, sn.seed, runs / "collapse", overrides, variant, part, sn)
        for part, variant in COLLAPSE.items()
        for sn in pairs
        if sn.method == "sn"
    ]


def experiment(options: Options) -> Campaign:
    """The runs of the chosen rows and seeds, and what they say."""
    options.scale = "small"
    root = options.runs / "collapse"
    runs = collapse_runs(options.settings or DEFAULT, options.seeds or SEEDS, options.runs, options.with_images())

    def finish(finished: Sequence[Run], console: Console) -> None:
        done = [run for run in runs if run in finished]
        found = [evidence_of(run.folder, run.setting.name, run.label, run.seed, root / "samples") for run in done]
        add_evidence(found, root, console)

    return Campaign(runs, root, finish)


main = partial(perform, experiment, __doc__, "settings seeds images")

if __name__ == "__main__":
    sys.exit(main())
