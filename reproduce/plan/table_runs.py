"""The runs of Table II: a setting of Table I, a method, a seed. No torch in here."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reproduce.plan.resources import count_gpus
from reproduce.plan.run import BATCH_SIZE, CHANNELS, IMAGE_SIZE, IMAGES, REPOSITORY, SEED, Run, Scale
from reproduce.plan.settings import SETTINGS, Method, Setting
from srgan.runs.folder import RunFolder

# One setting of each group, the cheapest that shows the group's width.
MINI_DEFAULT = ("A_64-128", "B_128-64", "C_32-32", "D_128-256", "E_256-64")
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
AUTHORS_SCALE = {"sr-d": {"model.constraint.init_args.scale": "keep"}}
"""What makes a configuration the authors' method, of which the paper has results: SR-d keeps the raw weights' scale."""
PREPARED_IMAGENET = "data/imagenet128"  # as configs/imagenet128.yaml says


@dataclass(frozen=True, eq=False, kw_only=True)
class TableRun(Run):
    """A run of one cell.

    Attributes:
        setting: the row.
        method: the column.
        seed: of everything random in it.
    """

    setting: Setting
    method: Method
    seed: int


def default_settings(scale: Scale) -> list[str]:
    """Rows that the table has where nobody asks for others."""
    by_scale = {"mini": MINI_DEFAULT, "small": SMALL_DEFAULT}
    return list(by_scale.get(scale, [setting.name for setting in SETTINGS]))


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
        table_run(scale, setting, method, seed, root, overrides or {})
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


def table_run(
    scale: Scale,
    setting: Setting,
    method: Method,
    seed: int,
    root: Path,
    overrides: Mapping[str, Any],
    constraint: str | None = None,
    part: str | None = None,
) -> TableRun:
    """One run of a row.

    Args:
        scale: "mini", "small" or "paper".
        setting: the row.
        method: the column.
        seed: of everything random in it.
        root: the folder of all runs.
        overrides: further settings.
        constraint: its configuration; None: SN, or the paper's compensation for this row.
        part: what the run is called beside its row and seed; None: the method.
    """
    config = constraint or ("sn" if method == "sn" else setting.compensation)
    sizes = {BATCH_SIZE: setting.batch_size, CHANNELS: setting.discriminator_channels}
    if scale == "mini":
        sizes = {BATCH_SIZE: mini_batch_size(setting), CHANNELS: mini_channels(setting.discriminator_channels)}
    if scale == "small":
        sizes[CHANNELS] = setting.discriminator_channels // SMALL_WIDTHS
        here = {} if count_gpus() else {"trainer.accelerator": "cpu"}
        overrides = here | from_folder(overrides)
    imagenet = scale == "paper" and setting.dataset == "imagenet128"
    return TableRun(
        name=f"{setting.name} {part or method.upper()} seed {seed}",
        folder=RunFolder(root / setting.name / f"{part or method}-seed{seed}"),
        configs=(*(BASES[setting.dataset if scale == "paper" else scale]), config),
        overrides={**sizes, SEED: seed, **AUTHORS_SCALE.get(config, {}), **overrides},
        # Four for ImageNet, as the authors; with its micro-batch set, only power steps depend on it.
        devices=4 if imagenet else 1,
        missing=missing_images(scale, setting),
        setting=setting,
        method=method,
        seed=seed,
    )


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
