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
from reproduce.launcher.options import Options, with_images
from reproduce.plan.run import Run
from reproduce.plan.settings import METHODS
from reproduce.plan.table_runs import TableRun, table_run, table_runs
from reproduce.plan.variants import COLLAPSE


def collapse_runs(
    names: Iterable[str], seeds: Iterable[int], runs: Path, overrides: Mapping[str, Any] | None = None
) -> list[TableRun]:
    """SN and SR-s, which are those of Table II at scale small, for each setting and seed; then the others.

    Args:
        names: rows of Table I, of CIFAR-10.
        seeds: seven runs for each.
        runs: the folder that holds `table2/small` and `collapse`.
        overrides: settings of every run.

    Raises:
        ValueError: a setting that Table I does not have.
    """
    pairs = table_runs("small", names, METHODS, seeds, runs / "table2" / "small", overrides)
    return pairs + [
        table_run("small", sn.setting, sn.seed, runs / "collapse", overrides or {}, variant, part, sn)
        for part, variant in COLLAPSE.items()
        for sn in pairs
        if sn.method == "sn"
    ]


def experiment(options: Options) -> Campaign:
    """The runs of the chosen rows and seeds, and what they say.

    Raises:
        ValueError: a setting that Table I does not have.
    """
    options.scale = "small"
    root = options.runs / "collapse"
    runs = collapse_runs(options.settings or DEFAULT, options.seeds or SEEDS, options.runs, with_images(options))

    def finish(finished: Sequence[Run], console: Console) -> None:
        found = [evidence_of(run, run.setting.name, root / "samples") for run in runs if run in finished]
        add_evidence(found, root, console)

    return Campaign(runs, root, finish)


main = partial(perform, experiment, __doc__, "settings seeds images")

if __name__ == "__main__":
    sys.exit(main())
