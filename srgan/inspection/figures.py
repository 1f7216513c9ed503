"""Pictures of the spectra in checkpoints."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullFormatter

from srgan.inspection.comparison import LayerComparison
from srgan.inspection.layers import LayerSpectrum
from srgan.pictures import (
    K_LABEL,
    PAGE_WIDTH,
    RATIO_LABEL,
    SERIES,
    AxisScale,
    grid_of_panels,
    iteration_colours,
    ratio_axis,
    ratio_limits,
    spectrum_curves,
)

MOST_PANELS = 60
COLUMNS = 5
LONGEST_TITLE = 21  # characters that fit above a panel
TAIL = "#F0F0F0"


def short_names(names: Sequence[str]) -> list[str]:
    """What is left of names without the parts that all of them begin with, and without what does not fit."""
    abbreviated = [re.sub(r"^(discriminator|generator)\.", lambda net: f"{net[1][0].upper()}.", name) for name in names]
    parts = [name.split(".") for name in abbreviated]
    shared = 0
    while len(names) > 1 and all(len(part) > shared + 1 and part[shared] == parts[0][shared] for part in parts):
        shared += 1
    shorter = [".".join(part[shared:]) for part in parts]
    return [name if len(name) <= LONGEST_TITLE else "…" + name[1 - LONGEST_TITLE :] for name in shorter]


def spectra_figure(spectra: Sequence[LayerSpectrum], title: str, scale: AxisScale) -> Figure:
    """A panel for each layer; above `MOST_PANELS` layers all in one, from the first (light) to the last (dark)."""
    limits = ratio_limits([layer.ratios for layer in spectra], scale)
    if len(spectra) > MOST_PANELS:
        figure = Figure(figsize=(PAGE_WIDTH, 4.5), layout="constrained")
        axis = figure.subplots()
        depth = Normalize(0, len(spectra) - 1)
        for place, layer in enumerate(spectra):
            spectrum_curves(axis, layer.ratios, color=iteration_colours()(depth(place)), linewidth=0.7)
        ratio_axis(axis, scale, limits)
        axis.set_title(f"{len(spectra)} layers, from the first (light) to the last (dark)")
    else:
        names = short_names([layer.name for layer in spectra])
        titles = [
            f"{name}\nN = {len(layer.sigma)}, tail {layer.numbers['tail_mean']:.2f}"
            for name, layer in zip(names, spectra, strict=True)
        ]
        drawn, axes = grid_of_panels(titles)
        assert isinstance(drawn, Figure)
        figure = drawn
        for axis, layer in zip(axes, spectra, strict=True):
            axis.axvspan(0.25, 1, color=TAIL, zorder=0, linewidth=0)
            spectrum_curves(axis, layer.ratios, color="black")
            ratio_axis(axis, scale, limits)
            axis.yaxis.set_minor_formatter(NullFormatter())  # a single decade would be full of labels
    figure.supxlabel(f"{K_LABEL} (grey: tail, over which its mean is taken)")
    figure.supylabel(RATIO_LABEL)
    figure.suptitle(title)
    return figure


def comparison_figure(
    compared: Sequence[LayerComparison],
    names: Sequence[str],
    grids: tuple[np.ndarray, np.ndarray] | None,
    scale: AxisScale,
) -> Figure:
    """The spectra of A and B over one another, a panel for each layer, and below them the two sample grids.

    Args:
        compared: at most `MOST_PANELS` of them are drawn, the first.
        names: of A and B.
        grids: `[rows * rows, H, W, 3]` uint8 of each, or none.
        scale: of the axes of sigma_k / sigma_1.
    """
    shown = compared[:MOST_PANELS]
    columns = min(COLUMNS, len(shown))
    heights = [0.9 + 1.35 * -(-len(shown) // columns), *[PAGE_WIDTH / 2 + 0.2] * bool(grids)]
    figure = Figure(figsize=(PAGE_WIDTH, sum(heights)), layout="constrained")
    parts = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    titles = short_names([layer.name for layer in shown])
    _, axes = grid_of_panels(titles, columns, parts[0])
    limits = ratio_limits([side.ratios for layer in shown for side in (layer.a, layer.b)], scale)
    for axis, layer in zip(axes, shown, strict=True):
        for side, series in zip((layer.a, layer.b), SERIES, strict=False):
            hollow: dict[str, Any] = (
                {"markerfacecolor": "none", "markersize": 6} if side is layer.b else {}
            )  # over A's markers
            spectrum_curves(axis, side.ratios, color=series.color, linestyle=series.linestyle, **hollow)
        ratio_axis(axis, scale, limits)
        axis.yaxis.set_minor_formatter(NullFormatter())
    parts[0].supxlabel(K_LABEL)
    parts[0].supylabel(RATIO_LABEL)
    labels = [f"{letter}: {name}" for letter, name in zip("AB", names, strict=True)]
    keys = [Line2D([], [], color=own.color, linestyle=own.linestyle) for own in SERIES[:2]]
    parts[0].legend(keys, labels, loc="outside upper center", ncols=1 if max(map(len, labels)) > 45 else 2)
    if grids:
        pictures = parts[1].subplots(1, 2)
        for axis, grid, label in zip(pictures, grids, labels, strict=True):
            axis.imshow(mosaic(grid), interpolation="nearest")
            axis.set_title(label)
            axis.set_axis_off()
    return figure


def mosaic(images: np.ndarray) -> np.ndarray:
    """`[rows * rows, H, W, 3]` uint8 as one square picture with white lines between."""
    rows = round(len(images) ** 0.5)
    framed = np.pad(images, ((0, 0), (0, 1), (0, 1), (0, 0)), constant_values=255)
    _, height, width, _ = framed.shape
    square: np.ndarray = framed.reshape(rows, rows, height, width, 3).swapaxes(1, 2)
    return square.reshape(rows * height, rows * width, 3)[:-1, :-1]
