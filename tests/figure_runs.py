"""Finished runs for figures, written as training writes them, with chosen numbers."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from PIL import Image

from reproduce.figures.runs import Picture
from reproduce.plan.run import Run
from reproduce.plan.settings import METHODS
from reproduce.plan.table_runs import MINI_DEFAULT, SWEEP_DEFAULT, collapse_runs, resume_runs, sweep_runs, table_runs
from reproduce.plan.variants import FRACTION
from srgan.collapse import mode_collapse, spectral_collapse
from srgan.constraints import Dynamic, SpectralNormalization, Static
from srgan.runs.folder import RunFolder, SpectralLayer
from srgan.utils.files import append_json_line, write_json

ITERATIONS = range(0, 601, 30)
LAYERS = [
    SpectralLayer("blocks.0.conv1", "Conv2d", [6, 3, 3, 3], 6, 6),
    SpectralLayer("blocks.0.shortcut", "Conv2d", [6, 3, 1, 1], 3, 3),
    SpectralLayer("blocks.3.conv2", "Conv2d", [6, 6, 3, 3], 6, 6),
    SpectralLayer("linear", "Linear", [1, 6], 1, 1),
]


def write_run(
    folder: RunFolder,
    config: dict[str, Any],
    collapses: bool = False,
    parent: dict[str, Any] | None = None,
    begin: int = 0,
) -> None:
    """A finished run through the writers that training uses; its verdicts are those of its numbers."""
    chance = np.random.default_rng(len(str(folder.path)))
    for iteration in ITERATIONS:
        if iteration < begin:
            continue
        sunk = 0.02 if collapses and iteration > 300 else 0.8
        sigmas = [
            np.concatenate([[2.0], 2 * np.sort(chance.uniform(0.9, 1, layer.rank - 1))[::-1] * sunk])
            for layer in LAYERS
        ]
        folder.append_spectra(iteration, LAYERS, sigmas)
        if iteration and iteration % 150 == 0:
            fid = 900.0 if sunk < 0.5 else 400.0 - iteration / 6
            row = {"iteration": iteration, "FID_cls": fid, "IS_cls": 100_000 / fid, "IS_cls_std": None, "modes": 900}
            append_json_line(folder.scores, row)
            kinds = {
                kind: chance.normal(shift, 1, 80) for kind, shift in (("train", 1), ("test", 0.5), ("generated", -1))
            }
            folder.append_outputs(iteration, kinds)
            folder.samples.mkdir(parents=True, exist_ok=True)
            Image.fromarray(chance.integers(0, 255, (32, 32, 3), dtype=np.uint8)).save(
                folder.samples / f"{iteration:08d}.png"
            )
    rows, history = folder.read_scores(), folder.read_spectra()
    assert history is not None
    verdicts = {
        "mode_collapse": mode_collapse(rows),
        "spectral_collapse": spectral_collapse(history.iterations, history.judged()),
    }
    words = {"label": label(config), "sentence": "as configured", "note": None}
    record = {
        "status": "finished",
        "constraint": words,
        "config": config,
        "reported": rows[-1],
        "parent": parent,
    }
    write_json(folder.record, record | {"verdicts": {name: vars(verdict) for name, verdict in verdicts.items()}})


def label(config: dict[str, Any]) -> str:
    """Of the constraint that some settings by dotted names describe."""
    spectral_map = "model.constraint.init_args.spectral_map"
    if (path := config.get(f"{spectral_map}.class_path")) is None:
        return SpectralNormalization().label
    fraction = float(config.get(FRACTION, 0.5))
    return Static(fraction).label if path.endswith("Static") else Dynamic().label


def write_planned(run: Run, collapses: bool = False, branch: int | None = None) -> None:
    """What a run leaves, with its settings; one that starts from another's checkpoint does so at `branch`."""
    parent = {"iteration": branch, "checkpoint": str(run.after.folder.checkpoint)} if run.after else None
    write_run(run.folder, run.flat, collapses, parent, begin=0 if branch is None else branch + 30)


def write_mini_runs(root: Path) -> None:
    """Everything that scale mini makes. Of the table, B_64-64 collapses under SN."""
    for run in table_runs("mini", MINI_DEFAULT, METHODS, [1], root / "table2" / "mini"):
        write_planned(run, collapses=run.setting.name == "B_64-64" and run.method == "sn")
    for run in sweep_runs("mini", SWEEP_DEFAULT["mini"], [1], root):
        if run.folder.path.is_relative_to(root / "sweep"):
            write_planned(run)
    start, *branches = resume_runs("mini", root / "resume" / "mini")
    write_planned(start)
    for branch in branches:
        write_planned(branch, branch=300)


def write_small_runs(root: Path, overrides: Mapping[str, Any] | None = None) -> None:
    """C_64-32 at scale small: SN collapses, SR-s and SR-d do not."""
    for run in collapse_runs(["C_64-32"], [1], root, overrides):
        write_planned(run, collapses=run.method == "sn", branch=150 if run.after else None)


def pictures(parts: Iterator[Picture]) -> dict[str, Picture]:
    return {part.name: part for part in parts}


def xs(line: Line2D) -> list[float]:
    return [float(x) for x in np.asarray(line.get_xdata())]


def ys(line: Line2D) -> list[float]:
    return [float(y) for y in np.asarray(line.get_ydata())]


def panels(picture: Picture) -> list[Axes]:
    """Those with curves or points, without the colour scale."""
    return [axis for axis in picture.figure.axes if axis.lines]
