"""`make reproduce-collapse`: group C at scale small: SN, SR-s, two controls, and SR-d from a checkpoint of SN."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from reproduce.campaign import Campaign, perform
from reproduce.claims import SEEDS
from reproduce.evidence import BRANCH, RATE_CONTROL, SCALE_CONTROL, evidence_of
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
    """SN and SR-s, which are those of Table II at scale small, for each setting and seed; then the controls; then SR-d.

    Args:
        names: rows of Table I, of CIFAR-10.
        seeds: five runs for each.
        runs: the folder that holds `table2/small` and `collapse`.
        overrides: settings of every run.

    Raises:
        ValueError: a setting that Table I does not have.
    """
    table, further, seeds = runs / "table2" / "small", overrides or {}, list(seeds)
    pairs: list[TableRun] = []
    scale: list[TableRun] = []
    rate: list[TableRun] = []
    branches: list[TableRun] = []
    for setting in rows(names):
        for seed in seeds:
            sn, sr_s = (table_run("small", setting, method, seed, table, further) for method in METHODS)
            one = {**further, FRACTION: SMALL_WIDTHS / setting.discriminator_channels}  # i / N, N = D's channels here
            sr_1 = table_run("small", setting, "sr", seed, runs / "collapse", one, "sr-s", part="sr-s-one")
            fast = table_run("small", setting, "sn", seed, runs / "collapse", {**further, **DOUBLED}, part="sn-double")
            sr_d = table_run("small", setting, "sr", seed, runs / "collapse", further, "sr-d", part="sr-d")
            pairs += [sn, sr_s]
            scale.append(replace(sr_1, name=f"{setting.name} {SCALE_CONTROL} seed {seed}"))
            rate.append(replace(fast, name=f"{setting.name} {RATE_CONTROL} seed {seed}"))
            branches.append(replace(sr_d, name=f"{setting.name} SR-d seed {seed}", after=sn, checkpoint=BRANCH))
    return pairs + scale + rate + branches


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
