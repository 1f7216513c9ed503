"""The runs of Table II, and of what goes with it: a setting of Table I, a method, a seed. No torch in here.

Functions that plan runs take the scale, names of rows of Table I (ValueError for a name that it does not have), seeds
(one run for each), a folder, and `overrides`, settings of every run that win over all others. The folder `runs` is that
of all experiments: table2, collapse, sweep.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from reproduce.plan.run import BATCH_SIZE, CHANNELS, IMAGE_SIZE, IMAGES, ITERATIONS, REPOSITORY, SEED, Run, count_gpus
from reproduce.plan.settings import METHODS, SETTINGS, Method, Scale, Setting
from reproduce.plan.variants import BRANCH, COLLAPSE, SN, SR_D, SR_S, Variant, at_fraction
from srgan.runs.folder import RunFolder

Overrides = Mapping[str, Any] | None
# One setting of each group; A to C have one batch, so that the width alone differs.
MINI_DEFAULT = ("A_64-128", "B_64-64", "C_64-32", "D_128-256", "E_256-32")
# One setting of each group of CIFAR-10 up to the paper's width ratio of 8 (C), all of one batch.
SMALL_DEFAULT = ("A_64-128", "B_64-64", "C_64-32")
SMALL_WIDTHS = 4  # of which the paper's are multiples
BASES = {  # data set, or another scale than paper -> files of `configs/`, the later ones over the earlier
    "mini": ("digits", "mini"),
    "small": ("cifar10", "small"),
    "cifar10": ("cifar10",),
    "stl10": ("cifar10", "stl10"),
    "imagenet128": ("imagenet128",),
}
PREPARED_IMAGENET = "data/imagenet128"  # as configs/imagenet128.yaml says
FRACTIONS = (0.25, 0.5, 0.75, 1.0)  # i / N of SR-s in the sweep, as Fig. 8 has them
TABLE_FRACTION = 0.5  # of configs/sr-s.yaml, with which Table II is made
# The settings of Fig. 11 and 12 are lost in the paper's text, Fig. 8 shows all groups: one setting of each.
SWEEP_DEFAULT = {
    "mini": ("A_64-128", "C_64-32"),
    "small": ("C_64-32",),
    "paper": ("A_64-128", "B_128-64", "C_32-32", "D_128-256", "E_256-64"),
}
RESUMED = "E_2048-64"  # the row of Section IV-A
LENGTHS = {"paper": (40_000, 80_000), "mini": (300, 600)}  # iterations under SN (which collapses then), at the end


@dataclass(frozen=True, eq=False, kw_only=True)
class TableRun(Run):
    """A run of a row of Table I."""

    setting: Setting  # the row
    method: Method  # its column in Table II
    seed: int


def default_settings(scale: Scale) -> list[str]:
    return list({"mini": MINI_DEFAULT, "small": SMALL_DEFAULT}.get(scale, [setting.name for setting in SETTINGS]))


def default_seeds(scale: Scale) -> list[int]:
    """Seeds that the table has by default; at scale mini three, by which no setting was chosen."""
    return [51, 52, 53] if scale == "mini" else [1]


def table_runs(
    scale: Scale,
    names: Iterable[str],
    methods: Iterable[Method],
    seeds: Iterable[int],
    root: Path,
    overrides: Overrides = None,
) -> list[TableRun]:
    """All runs of a table, in the paper's order, seed and method innermost."""
    methods, seeds, sr = list(methods), list(seeds), {"sr-s": SR_S, "sr-d": SR_D}
    return [
        table_run(scale, setting, seed, root, overrides, SN if method == "sn" else sr[setting.compensation], method)
        for setting in rows(names)
        for seed in seeds
        for method in methods
    ]


def rows(names: Iterable[str]) -> list[Setting]:
    """Rows of Table I in the paper's order."""
    names, known = list(names), [setting.name for setting in SETTINGS]
    for name in set(names).difference(known):
        raise ValueError(f"Expected settings of Table I, found {name!r}. They are: {', '.join(known)}.")
    return [setting for setting in SETTINGS if setting.name in names]


def table_run(
    scale: Scale,
    setting: Setting,
    seed: int,
    root: Path,
    overrides: Overrides,
    variant: Variant,
    part: str,
    sn: TableRun | None = None,
) -> TableRun:
    """One run of a row: a variant, in a folder named by `part` and seed; after SN from a checkpoint of the run `sn`."""
    overrides, channels, batch_size = overrides or {}, setting.discriminator_channels, setting.batch_size
    if scale == "mini":
        batch_size, channels = mini_batch_size(setting), mini_channels(channels)
    if scale == "small":
        channels //= SMALL_WIDTHS
        # Images of a folder or tar (IMAGES) need their data module, too.
        folder = {"data.class_path": "srgan.data.FolderData", IMAGE_SIZE: 16} if IMAGES in overrides else {}
        overrides = ({} if count_gpus() else {"trainer.accelerator": "cpu"}) | folder | dict(overrides)
    sizes = {BATCH_SIZE: batch_size, CHANNELS: channels, SEED: seed}
    return TableRun(
        name=f"{setting.name} {variant.label if part not in ('sn', 'sr') else part.upper()} seed {seed}",
        label=variant.label,
        folder=RunFolder(root / setting.name / f"{part}-seed{seed}"),
        configs=(*BASES[setting.dataset if scale == "paper" else scale], variant.config),
        overrides={**sizes, **variant.overrides(channels), **overrides},
        # Four for ImageNet, as the authors; with its micro-batch set, only power steps depend on it.
        devices=4 if scale == "paper" and setting.dataset == "imagenet128" else 1,
        missing=missing_images(scale, setting),
        setting=setting,
        method="sn" if variant.config == "sn" else "sr",
        seed=seed,
        after=sn if variant.after_sn else None,
        checkpoint=BRANCH if variant.after_sn else None,
    )


def missing_images(scale: Scale, setting: Setting) -> str | None:
    """Why a run has no images here; None if it has, or downloads them."""
    if scale == "small" and setting.dataset != "cifar10":
        return "not run: scale small is of CIFAR-10 alone"
    needs_imagenet = scale == "paper" and setting.dataset == "imagenet128"
    if needs_imagenet and not (REPOSITORY / PREPARED_IMAGENET / "state.json").exists():
        return f"not run: first srgan prepare ROOT {PREPARED_IMAGENET}"
    return None


def mini_channels(channels: int) -> int:
    """Discriminator widths at scale mini, in the order of the paper (32, 64, 128, 256 -> 6, 8, 12, 20)."""
    return 4 + channels // 16


def mini_batch_size(setting: Setting) -> int:
    """Batches at scale mini: sqrt(2 batch), which keeps the order of the rows (8 ... 2048 -> 4 ... 64)."""
    return round(math.sqrt(2 * setting.batch_size))


def collapse_runs(
    names: Iterable[str], seeds: Iterable[int], runs: Path, overrides: Overrides = None
) -> list[TableRun]:
    """At scale small: SN and SR-s, which are those of Table II, for each setting and seed; then those of COLLAPSE."""
    pairs = table_runs("small", names, METHODS, seeds, runs / "table2" / "small", overrides)
    return pairs + [
        table_run("small", sn.setting, sn.seed, runs / "collapse", overrides, variant, part, sn)
        for part, variant in COLLAPSE.items()
        for sn in pairs
        if sn.method == "sn"
    ]


def resume_runs(scale: Scale, root: Path, overrides: Overrides = None) -> list[TableRun]:
    """Section IV-A: SN up to the branch, and from its last checkpoint SN and SR-d side by side."""
    if scale == "small":
        raise ValueError(f"Expected SCALE=mini or SCALE=paper, found small: {RESUMED} is a row of ImageNet.")
    (setting,), (branch, end) = rows([RESUMED]), LENGTHS[scale]
    further = {"scores.every": 100} if scale == "mini" else {}

    def run(name: str, part: str, variant: Variant, iterations: int, after: TableRun | None = None) -> TableRun:
        chosen = {**further, ITERATIONS: iterations, **(overrides or {})}
        planned = table_run(scale, setting, 1, root, chosen, variant, part)
        return replace(planned, name=name, folder=RunFolder(root / part), after=after)

    start = run("SN", "sn-start", SN, branch)
    resumed = run("SN goes on", "sn", SN, end, start)
    return [start, resumed, run("SR-d takes over", "sr-d", SR_D, end, start)]


def sweep_runs(
    scale: Scale, names: Iterable[str], seeds: Iterable[int], runs: Path, overrides: Overrides = None
) -> list[TableRun]:
    """SN (whose forward pass is that of i = 1), SR-s at every i / N, SR-d; where Table II has the run, its own one."""
    table, root = runs / "table2" / scale, runs / "sweep" / scale
    variants = {f"sr-s-{fraction:g}": at_fraction(fraction) for fraction in FRACTIONS} | {"sr-d": SR_D}
    of_table = {"sr-s": f"sr-s-{TABLE_FRACTION:g}", "sr-d": "sr-d"}
    found = []
    for setting, seed in product(rows(names), seeds):
        sn, sr = table_runs(scale, [setting.name], METHODS, [seed], table, overrides)
        found.append(sn)
        for part, variant in variants.items():
            is_of_table = part == of_table[setting.compensation]
            found.append(sr if is_of_table else table_run(scale, setting, seed, root, overrides, variant, part))
    return found
