"""The runs of Table II: a setting of Table I, a method, a seed. No torch in here."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from reproduce.plan.resources import count_gpus
from reproduce.plan.run import BATCH_SIZE, CHANNELS, IMAGE_SIZE, IMAGES, REPOSITORY, SEED, Run, Scale
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
    method: Method  # its column in Table II, "sn" or "sr"
    seed: int  # Random seed


def default_settings(scale: Scale) -> list[str]:
    """Rows that the table has where nobody asks for others."""
    by_scale = {"mini": MINI_DEFAULT, "small": SMALL_DEFAULT}
    return list(by_scale.get(scale, [setting.name for setting in SETTINGS]))


def default_seeds(scale: Scale) -> list[int]:
    """Seeds that the table has where nobody asks for others; at scale mini three, by which no setting was chosen."""
    return [31, 32, 33] if scale == "mini" else [1]


def table_runs(
    scale: Scale,
    names: Iterable[str],
    methods: Iterable[Method],
    seeds: Iterable[int],
    root: Path,
    overrides: Mapping[str, Any] | None = None,
) -> list[TableRun]:
    """All runs of a table, in the paper's order, method and seed innermost.

    Args:
        scale: "paper" (the real thing), "small" (real images at 16 x 16, nets a quarter as wide) or "mini" (small nets,
            embedded images).
        names: rows of Table I.
        methods: its columns.
        seeds: one run for each.
        root: the folder of all runs of the table.
        overrides: settings of every run.

    Raises:
        ValueError: a setting that Table I does not have.
    """
    methods, seeds = list(methods), list(seeds)
    return [
        table_run(scale, setting, seed, root, overrides or {}, column(setting, method), method)
        for setting in rows(names)
        for seed in seeds
        for method in methods
    ]


def rows(names: Iterable[str]) -> list[Setting]:
    """Rows of Table I in the paper's order.

    Raises:
        ValueError: a setting that Table I does not have.
    """
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
    overrides: Mapping[str, Any],
    variant: Variant,
    part: str,
    sn: TableRun | None = None,
) -> TableRun:
    """One run of a row.

    Args:
        scale: "mini", "small" or "paper".
        setting: the row.
        seed: Random seed.
        root: the folder of all runs.
        overrides: settings that win over the variant's.
        variant: what is run.
        part: of the folder's name, beside the seed.
        sn: the run of SN whose checkpoint a variant after SN starts from.
    """
    sizes = {BATCH_SIZE: setting.batch_size, CHANNELS: setting.discriminator_channels}
    if scale == "mini":
        sizes = {BATCH_SIZE: mini_batch_size(setting), CHANNELS: mini_channels(setting.discriminator_channels)}
    if scale == "small":
        sizes[CHANNELS] = setting.discriminator_channels // SMALL_WIDTHS
        overrides = ({} if count_gpus() else {"trainer.accelerator": "cpu"}) | from_folder(overrides)
    imagenet = scale == "paper" and setting.dataset == "imagenet128"
    run = TableRun(
        name=f"{setting.name} {variant.label if part not in ('sn', 'sr') else part.upper()} seed {seed}",
        label=variant.label,
        folder=RunFolder(root / setting.name / f"{part}-seed{seed}"),
        configs=(*BASES[setting.dataset if scale == "paper" else scale], variant.config),
        overrides={**sizes, SEED: seed, **variant.overrides(sizes[CHANNELS]), **overrides},
        # Four for ImageNet, as the authors; with its micro-batch set, only power steps depend on it.
        devices=4 if imagenet else 1,
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


def from_folder(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Where the images are read from a folder or tar (IMAGES), its data module too."""
    folder = {"data.class_path": "srgan.data.FolderData", IMAGE_SIZE: 16}
    return (folder if IMAGES in overrides else {}) | dict(overrides)


def mini_channels(channels: int) -> int:
    """Discriminator widths at scale mini, in the order of the paper (32, 64, 128, 256 -> 6, 8, 12, 20)."""
    return 4 + channels // 16


def mini_batch_size(setting: Setting) -> int:
    """Batches at scale mini: sqrt(2 batch), which keeps the order of the rows (8 ... 2048 -> 4 ... 64)."""
    return round(math.sqrt(2 * setting.batch_size))
