"""The runs of Table II: a setting of Table I, a method, a seed. No torch in here.

Functions that plan runs take the scale, names of rows of Table I (ValueError for a name that it does not have), seeds
(one run for each), a folder, and `overrides`, settings of every run that win over all others.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from reproduce.plan.run import BATCH_SIZE, CHANNELS, IMAGE_SIZE, IMAGES, REPOSITORY, SEED, Run, Scale, count_gpus
from reproduce.plan.settings import SETTINGS, Method, Setting
from reproduce.plan.variants import BRANCH, SN, SR_D, SR_S, Variant
from srgan.runs.folder import RunFolder

# One setting of each group; A to C have one batch, so that the width alone differs.
MINI_DEFAULT = ("A_64-128", "B_64-64", "C_64-32", "D_128-256", "E_256-32")
# One setting of each group of CIFAR-10 up to the paper's width ratio of 8 (C), all of one batch.
SMALL_DEFAULT = ("A_64-128", "B_64-64", "C_64-32")
SMALL_WIDTHS = 4  # of which the paper's are multiples
BASES = {
    "mini": ("digits", "mini"),
    "small": ("cifar10", "small"),
    "cifar10": ("cifar10",),
    "stl10": ("cifar10", "stl10"),
    "imagenet128": ("imagenet128",),
}
"""Data set, or another scale than paper -> files of `configs/`, the later ones over the earlier."""
PREPARED_IMAGENET = "data/imagenet128"  # as configs/imagenet128.yaml says


@dataclass(frozen=True, eq=False, kw_only=True)
class TableRun(Run):
    """A run of a row of Table I."""

    setting: Setting  # the row
    method: Method  # its column in Table II
    seed: int


def default_settings(scale: Scale) -> list[str]:
    """Rows that the table has where nobody asks for others."""
    by_scale = {"mini": MINI_DEFAULT, "small": SMALL_DEFAULT}
    return list(by_scale.get(scale, [setting.name for setting in SETTINGS]))


def default_seeds(scale: Scale) -> list[int]:
    """Seeds that the table has where nobody asks for others; at scale mini three, by which no setting was chosen."""
    return [51, 52, 53] if scale == "mini" else [1]


def table_runs(
    scale: Scale,
    names: Iterable[str],
    methods: Iterable[Method],
    seeds: Iterable[int],
    root: Path,
    overrides: Mapping[str, Any] | None = None,
) -> list[TableRun]:
    """All runs of a table, in the paper's order, method and seed innermost."""
    methods, seeds = list(methods), list(seeds)
    return [
        table_run(scale, setting, seed, root, overrides, column(setting, method), method)
        for setting in rows(names)
        for seed in seeds
        for method in methods
    ]


def rows(names: Iterable[str]) -> list[Setting]:
    """Rows of Table I in the paper's order."""
    names, known = list(names), [setting.name for setting in SETTINGS]
    for name in names:
        if name not in known:
            raise ValueError(f"Expected settings of Table I, found {name!r}. They are: {', '.join(known)}.")
    return [setting for setting in SETTINGS if setting.name in names]


def column(setting: Setting, method: Method) -> Variant:
    """What the paper runs in a column of a row."""
    return SN if method == "sn" else {"sr-s": SR_S, "sr-d": SR_D}[setting.compensation]


def table_run(
    scale: Scale,
    setting: Setting,
    seed: int,
    root: Path,
    overrides: Mapping[str, Any] | None,
    variant: Variant,
    part: str,
    sn: TableRun | None = None,
) -> TableRun:
    """One run of a row: a variant, in a folder named by `part` and seed.

    A variant after SN starts from the checkpoint at `BRANCH` of `sn`, the run with the same seed.
    """
    overrides, channels = overrides or {}, setting.discriminator_channels
    batch_size = setting.batch_size
    if scale == "mini":
        batch_size, channels = mini_batch_size(setting), mini_channels(channels)
    if scale == "small":
        channels //= SMALL_WIDTHS
        # Images of a folder or tar (IMAGES) need their data module, too.
        folder = {"data.class_path": "srgan.data.FolderData", IMAGE_SIZE: 16} if IMAGES in overrides else {}
        overrides = ({} if count_gpus() else {"trainer.accelerator": "cpu"}) | folder | dict(overrides)
    sizes = {BATCH_SIZE: batch_size, CHANNELS: channels, SEED: seed}
    run = TableRun(
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
    )
    return replace(run, after=sn, checkpoint=BRANCH) if variant.after_sn else run


def missing_images(scale: Scale, setting: Setting) -> str | None:
    """Why a run has no images here; None if it has, or downloads them."""
    if scale == "small" and setting.dataset != "cifar10":
        return "not run: scale small is of CIFAR-10 alone"
    prepared = (REPOSITORY / PREPARED_IMAGENET / "state.json").exists()
    if scale == "paper" and setting.dataset == "imagenet128" and not prepared:
        return f"not run: first srgan prepare ROOT {PREPARED_IMAGENET}"
    return None


def mini_channels(channels: int) -> int:
    """Discriminator widths at scale mini, in the order of the paper (32, 64, 128, 256 -> 6, 8, 12, 20)."""
    return 4 + channels // 16


def mini_batch_size(setting: Setting) -> int:
    """Batches at scale mini: sqrt(2 batch), which keeps the order of the rows (8 ... 2048 -> 4 ... 64)."""
    return round(math.sqrt(2 * setting.batch_size))
