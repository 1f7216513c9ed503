"""Finished runs for figures, written as training writes them, with chosen numbers."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from PIL import Image

from reproduce.figures.model import Gap, Picture
from reproduce.plan import MINI_DEFAULT, Run, configuration, plan
from reproduce.sweep_plan import SWEEP_DEFAULT, SweepRun, sweep_plan
from srgan.constraints import Dynamic, SpectralNormalization, Static
from srgan.files import append_json_line, write_json
from srgan.metrics.collapse import mode_collapse, spectral_collapse
from srgan.runs import RunFolder, SpectralLayer

ITERATIONS = range(0, 601, 30)
LAYERS = [
    SpectralLayer("blocks.0.conv1", "Conv2d", [6, 3, 3, 3], 6),
    SpectralLayer("blocks.0.shortcut", "Conv2d", [6, 3, 1, 1], 3),
    SpectralLayer("blocks.3.conv2", "Conv2d", [6, 6, 3, 3], 6),
    SpectralLayer("linear", "Linear", [1, 6], 1),
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
        "scores": rows,
        "reported": rows[-1],
        "parent": parent,
    }
    write_json(folder.record, record | {"verdicts": {name: vars(verdict) for name, verdict in verdicts.items()}})


def label(config: dict[str, Any]) -> str:
    """Of the constraint that some settings by dotted names describe."""
    compensation = "model.constraint.init_args.compensation"
    if (path := config.get(f"{compensation}.class_path")) is None:
        return SpectralNormalization.label
    fraction = float(config.get(f"{compensation}.init_args.compensated_fraction", 0.5))
    return Static(fraction).label if path.endswith("Static") else Dynamic.label


def write_planned(run: Run, collapses: bool = False) -> None:
    write_run(run.folder, run.chosen, collapses)


def write_mini_runs(root: Path) -> None:
    """Everything that scale mini makes. Of the table, B_128-64 collapses under SN; so does the showcase."""
    for run in plan("mini", MINI_DEFAULT, ["sn", "sr"], [1], root / "table2" / "mini"):
        write_planned(run, collapses=run.setting.name == "B_128-64" and run.method == "sn")
    for one in sweep_plan("mini", SWEEP_DEFAULT["mini"], [1], root):
        for run in one.runs:
            if isinstance(run, SweepRun):
                write_planned(run)
    config = plan("mini", ["C_32-32"], ["sn"], [1], root)[0].chosen
    dynamic = config | configuration("configs/sr-d.yaml")
    static = plan("mini", ["C_32-32"], ["sr"], [1], root)[0].chosen
    for base, sn, branch in ((root / "collapse", "sn", 150), (root / "resume" / "mini", "sn-start", 300)):
        parent = {"iteration": branch, "checkpoint": str(base / sn / "checkpoints" / "last.ckpt")}
        write_run(RunFolder(base / sn), config, collapses=sn == "sn")
        write_run(RunFolder(base / "sr-d"), dynamic, parent=parent, begin=branch + 30)
        if sn == "sn":
            write_run(RunFolder(base / "sr-s"), static)
        else:
            write_run(RunFolder(base / "sn"), config, parent=parent, begin=branch + 30)


def pictures(parts: Iterator[Picture | Gap]) -> dict[str, Picture]:
    return {part.name: part for part in parts if isinstance(part, Picture)}


def gaps(parts: Iterator[Picture | Gap]) -> list[Gap]:
    return [part for part in parts if isinstance(part, Gap)]


def xs(line: Line2D) -> list[float]:
    return [float(x) for x in np.asarray(line.get_xdata())]


def ys(line: Line2D) -> list[float]:
    return [float(y) for y in np.asarray(line.get_ydata())]


def panels(picture: Picture) -> list[Axes]:
    """Those with curves or points, without the colour scale."""
    return [axis for axis in picture.figure.axes if axis.lines]
