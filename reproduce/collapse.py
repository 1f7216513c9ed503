"""`make reproduce-collapse`: group C at scale small: SN, SR-s, SR-d and SR-s from checkpoints of SN, controls."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from rich.console import Console

from reproduce.campaign import Campaign, perform
from reproduce.claims import SEEDS
from reproduce.evidence import BRANCH, CONTROLS, RATE_CONTROL, SCALE_CONTROL, SWITCHED, evidence_of
from reproduce.evidence_page import add_evidence
from reproduce.options import Options, with_images
from reproduce.run import FRACTION, Run
from reproduce.settings import METHODS
from reproduce.table_runs import SMALL_WIDTHS, TableRun, rows, table_run

DEFAULT = ("C_64-32",)
DOUBLED = {"model.discriminator_optimizer.learning_rate": 4e-4}  # twice that of configs/cifar10.yaml


def collapse_runs(
    names: Iterable[str], seeds: Iterable[int], runs: Path, overrides: Mapping[str, Any] | None = None
) -> list[TableRun]:
    """SN and SR-s, which are those of Table II at scale small, for each setting and seed; then the others.

    These are what goes on from SN's checkpoints, SR-d and SR-s, and the controls.

    Args:
        names: rows of Table I, of CIFAR-10.
        seeds: six runs for each.
        runs: the folder that holds `table2/small` and `collapse`.
        overrides: settings of every run.

    Raises:
        ValueError: a setting that Table I does not have.
    """
    table, further, seeds = runs / "table2" / "small", overrides or {}, list(seeds)
    pairs: list[TableRun] = []
    others: dict[str, list[TableRun]] = {label: [] for label in ("SR-d", SWITCHED, *CONTROLS)}
    for setting in rows(names):
        one = {FRACTION: SMALL_WIDTHS / setting.discriminator_channels}  # i / N, N = D's channels here
        for seed in seeds:
            sn, sr_s = (table_run("small", setting, method, seed, table, further) for method in METHODS)
            pairs += [sn, sr_s]
            for label, constraint, part, own in (
                ("SR-d", "sr-d", "sr-d", {}),
                (SWITCHED, "sr-s", "sr-s-after-sn", {}),
                (SCALE_CONTROL, "sr-s", "sr-s-one", one),
                (RATE_CONTROL, "sn", "sn-double", DOUBLED),
            ):
                method, settings = METHODS[constraint != "sn"], {**further, **own}
                run = table_run("small", setting, method, seed, runs / "collapse", settings, constraint, part)
                if label not in CONTROLS:
                    run = replace(run, after=sn, checkpoint=BRANCH)
                others[label].append(replace(run, name=f"{setting.name} {label} seed {seed}"))
    return [*pairs, *chain.from_iterable(others.values())]


def experiment(options: Options) -> Campaign:
    """The runs of the chosen rows and seeds, and what they say.

    Raises:
        ValueError: a setting that Table I does not have.
    """
    options.scale = "small"
    root = options.runs / "collapse"
    runs = collapse_runs(options.settings or DEFAULT, options.seeds or SEEDS, options.runs, with_images(options))

    def finish(finished: Sequence[Run], console: Console) -> None:
        add_evidence([evidence_of(run) for run in runs if run in finished], root, console)

    return Campaign(runs, root, finish)


main = partial(perform, experiment, __doc__, "settings seeds images")

if __name__ == "__main__":
    sys.exit(main())
