"""`make reproduce-collapse`: group C at scale small: SN, SR-s, SR-d and SR-s after SN, controls."""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from reproduce.evidence.claims import SEEDS
from reproduce.evidence.page import add_evidence
from reproduce.evidence.records import BRANCH, EQUATION_10, RATE_CONTROL, SCALE_CONTROL, SWITCHED, evidence_of
from reproduce.launcher.launcher import Campaign, perform
from reproduce.launcher.options import Options, with_images
from reproduce.plan.run import FRACTION, Run
from reproduce.plan.settings import METHODS, Method, Setting
from reproduce.plan.table_runs import SMALL_WIDTHS, TableRun, table_run, table_runs

DEFAULT = ("C_64-32",)
REPARAMETRIZE = {"model.constraint.init_args.mode": "reparametrization"}
DOUBLED = {"model.discriminator_optimizer.learning_rate": 4e-4}  # twice that of configs/cifar10.yaml


class Variant(NamedTuple):
    """What is run beside a row's SN and SR-s: label, column, constraint, folder, own settings, whether SN begins it."""

    label: str
    method: Method
    constraint: str
    part: str
    settings: Callable[[Setting], Mapping[str, Any]] = lambda setting: {}
    after_sn: bool = False


VARIANTS = (
    Variant("SR-d", "sr", "sr-d", "sr-d", after_sn=True),
    Variant(SWITCHED, "sr", "sr-s", "sr-s-after-sn", after_sn=True),
    Variant(
        SCALE_CONTROL,
        "sr",
        "sr-s",
        "sr-s-one",
        lambda setting: {FRACTION: SMALL_WIDTHS / setting.discriminator_channels},  # i / N, N = D's channels here
    ),
    Variant(RATE_CONTROL, "sn", "sn", "sn-double", lambda setting: DOUBLED),
    Variant(EQUATION_10, "sr", "sr-d", "sr-d-eq-10", lambda setting: REPARAMETRIZE, after_sn=True),
)


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
    further = overrides or {}
    pairs = table_runs("small", names, METHODS, seeds, runs / "table2" / "small", further)
    others = []
    for variant in VARIANTS:
        for sn in (run for run in pairs if run.method == "sn"):
            own = {**further, **variant.settings(sn.setting)}
            run = table_run(
                "small", sn.setting, variant.method, sn.seed, runs / "collapse", own, variant.constraint, variant.part
            )
            run = replace(run, name=f"{sn.setting.name} {variant.label} seed {sn.seed}")
            others.append(replace(run, after=sn, checkpoint=BRANCH) if variant.after_sn else run)
    return pairs + others


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
