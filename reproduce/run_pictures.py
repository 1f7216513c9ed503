"""Spectra and scores of any runs, and the panels for them that several figures share."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from srgan.metrics.verdicts import is_lower_better
from srgan.pictures import SERIES, grid_of_layers, grid_of_panels, save, style
from srgan.runs import SHOWN_SCORES, RunFolder, SpectraHistory


def spectra_picture(folder: RunFolder, title: str, path: Path) -> None:
    """Every convolution's spectrum over training (as Fig. 15 to 22).

    Raises:
        FileNotFoundError: the run has no spectra.
    """
    history = folder.read_spectra()
    if history is None or not len(history.iterations):
        raise FileNotFoundError(f"Expected recorded spectra in '{folder.path}', found none.")
    with style():
        save(grid_of_layers(convolutions(history), history.iterations, title), path)


def convolutions(history: SpectraHistory) -> dict[str, np.ndarray]:
    """Title of the panel, e.g. "0.conv1  64×27" (the matrix's size), -> `[T, N]`."""
    return {
        f"{layer.name.removeprefix('blocks.')}  {layer.shape[0]}×{np.prod(layer.shape[1:])}": history.spectra[
            layer.name
        ]
        for layer in history.layers
        if layer.is_convolution
    }


def scores_picture(folders: Mapping[str, RunFolder], title: str, path: Path) -> None:
    """Scores of several runs over iterations, one panel per score; a run that branched off begins at its branch."""
    histories = {name: branch_point(folder, folders) + folder.read_scores() for name, folder in folders.items()}
    with style():
        figure, axes = grid_of_panels(present_scores(histories.values()), columns=3, share=False)
        assert isinstance(figure, Figure)
        score_panels(axes, histories)
        figure.suptitle(title)
        save(figure, path)


def present_scores(histories: Any) -> list[str]:
    """FID, IS and the number of modes, by the names that they have in these rows."""
    present = {name for rows in histories for row in rows for name in row}
    return [score for score in SHOWN_SCORES if score in present]


def score_panels(axes: Sequence[Axes], histories: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """A curve for each run, a panel for each score that they have.

    Args:
        axes: as many as `present_scores`.
        histories: name -> evaluations in order.
    """
    for axis, score in zip(axes, present_scores(histories.values()), strict=True):
        for own, (name, rows) in zip(SERIES, histories.items(), strict=False):
            found = [row for row in rows if score in row]
            axis.plot([row["iteration"] for row in found], [row[score] for row in found], **own._asdict(), label=name)
        axis.set_title(score_title(score))
        axis.set_xlabel("iteration")
        axis.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axis.locator_params(axis="x", nbins=5)
        axis.set_ylim(0, 1.12 * axis.dataLim.ymax)
    axes[0].legend()


def score_title(score: str) -> str:
    """With the direction that is better."""
    return f"{score} ({'lower' if is_lower_better(score) else 'higher'} is better)"


def branch_point(folder: RunFolder, folders: Mapping[str, RunFolder]) -> list[dict[str, Any]]:
    """The evaluation, in another of the runs, at which this one went on from that one's checkpoint; [] if none."""
    parent = (folder.read_record() or {}).get("parent") or {}
    origins = [run for run in folders.values() if run.checkpoint.parent == Path(parent.get("checkpoint", "")).parent]
    return [row for run in origins for row in run.read_scores() if row["iteration"] == parent["iteration"]]
