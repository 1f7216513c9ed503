"""Pictures of single runs, from their files alone."""

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import Normalize

from srgan.files import write_atomically
from srgan.runs import RunFolder

CURVES = 12


def spectra_picture(folder: RunFolder, title: str, path: Path) -> None:
    """Every convolution's spectrum, sigma_k / sigma_1 over k / N, coloured by iteration (as Fig. 15 to 22).

    Raises:
        FileNotFoundError: the run has no spectra.
    """
    history = folder.read_spectra()
    if history is None or not len(history.iterations):
        raise FileNotFoundError(f"Expected recorded spectra in '{folder.path}', found none.")
    layers = [layer for layer in history.layers if layer.is_convolution]
    columns = 5
    rows = -(-len(layers) // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(2.3 * columns, 2.1 * rows + 0.6), sharex=True, sharey=True, layout="constrained"
    )
    shown = np.unique(np.linspace(0, len(history.iterations) - 1, CURVES).round().astype(int))
    norm, colours = Normalize(0, max(1, int(history.iterations[-1]))), plt.get_cmap("viridis_r")
    for axis, layer in zip(axes.flat, layers, strict=False):
        k = (np.arange(layer.rank) + 1) / layer.rank
        for t in shown:
            axis.plot(k, history.spectra[layer.name][t], color=colours(norm(history.iterations[t])), lw=1.1)
        axis.set_title(f"{layer.name.removeprefix('blocks.')}  {layer.shape[0]}×{np.prod(layer.shape[1:])}", fontsize=8)
        axis.set_ylim(-0.03, 1.05)
        axis.tick_params(labelsize=7)
    for axis in axes.flat[len(layers) :]:
        axis.set_visible(False)
    figure.supxlabel("k / N", fontsize=9)
    figure.supylabel(r"$\sigma_k / \sigma_1$", fontsize=9)
    figure.suptitle(title, fontsize=10)
    bar = figure.colorbar(plt.cm.ScalarMappable(norm, colours), ax=axes, pad=0.01, aspect=30)
    bar.set_label("iteration", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    write_atomically(path, lambda file: figure.savefig(file, format="png", dpi=110))
    plt.close(figure)


def scores_picture(folders: dict[str, RunFolder], title: str, path: Path) -> None:
    """Scores of several runs over iterations, one panel per score; a run that branched off begins at its branch."""
    histories = {name: branch_point(folder, folders) + folder.read_scores() for name, folder in folders.items()}
    present = {score for rows in histories.values() for row in rows for score in row}
    panels = [score for score in ("FID", "FID_cls", "IS", "IS_cls", "modes") if score in present]
    figure, axes = plt.subplots(1, len(panels), figsize=(3.6 * len(panels), 2.8), squeeze=False, layout="constrained")
    styles = ["-o", "--s", ":^", "-.d"]
    for axis, score in zip(axes.flat, panels, strict=True):
        for style, (name, rows) in zip(styles * len(histories), histories.items(), strict=False):
            axis.plot([row["iteration"] for row in rows], [row[score] for row in rows], style, ms=3, lw=1.2, label=name)
        axis.set_title(score + (" (lower is better)" if score.startswith("FID") else ""), fontsize=9)
        axis.set_xlabel("iteration", fontsize=8)
        axis.set_ylim(0, 1.08 * axis.dataLim.ymax)
        axis.tick_params(labelsize=7)
        axis.grid(alpha=0.3)
    axes.flat[0].legend(fontsize=7)
    figure.suptitle(title, fontsize=10)
    write_atomically(path, lambda file: figure.savefig(file, format="png", dpi=110))
    plt.close(figure)


def branch_point(folder: RunFolder, folders: dict[str, RunFolder]) -> list[dict[str, Any]]:
    """The evaluation, in another of the runs, at which this one went on from that one's checkpoint; [] if none."""
    parent = (folder.read_record() or {}).get("parent") or {}
    origins = [run for run in folders.values() if run.checkpoint.parent == Path(parent.get("checkpoint", "")).parent]
    return [row for run in origins for row in run.read_scores() if row["iteration"] == parent["iteration"]]
