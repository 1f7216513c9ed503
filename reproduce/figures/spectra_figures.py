"""Fig. 2, 4 and 15 to 22: spectra of discriminators over training, without and with collapse."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from reproduce.figures.available_runs import Sources
from reproduce.figures.model import (
    Picture,
    described,
    last_spectra,
    listed,
    spectra_iterations,
    title,
    verdict_words,
)
from srgan.plotting import (
    K_LABEL,
    RATIO_LABEL,
    AxisScale,
    grid_of_layers,
    grid_of_panels,
    iteration_bar,
    iteration_norm,
    ordered_styles,
    ratio_axis,
    ratio_limits,
    spectrum_curves,
)
from srgan.runs.folder import SpectraHistory
from srgan.runs.recorded import RecordedRun

CURVES = "Spectra of D's last 3 × 3 convolution, a curve for each iteration"
ONSETS = "MC, SC: first iteration of mode and spectral collapse by our rules."
FIRST_RECORD: dict[str, Any] = {
    "color": "#999999",
    "linewidth": 0.9,
    "linestyle": (0, (1, 1)),
    "marker": "",
    "label": "first record",
}


def figure_2(sources: Sources, axes: AxisScale) -> Iterator[Picture]:
    """The last convolution under SN, of settings that did not collapse."""
    steady = [run for run in sources.finished("table2 sn") if not run.collapsed]
    if steady:
        caption = f"{CURVES}, of the settings that did not collapse under SN: {listed(steady)}."
        yield Picture("uncollapsed", panels_of_runs(steady, axes), caption, steady)


def figure_4(sources: Sources, axes: AxisScale) -> Iterator[Picture]:
    """The last convolution under SN, of settings that collapsed; and the five groups of Table I at the end."""
    found = sources.finished("table2 sn")
    collapsed = [run for run in found if run.collapsed]
    if collapsed:
        caption = f"{CURVES}, of the settings that collapsed under SN: {listed(collapsed)}. {ONSETS}"
        yield Picture("collapsed", panels_of_runs(collapsed, axes), caption, collapsed)
    if found:
        caption = (
            "Spectra of D's last 3 × 3 convolution under SN at the end of training, a panel for each group of Table I, "
            f"a curve for each setting (dotted grey: at its first record): {listed(found)}."
        )
        yield Picture("groups", panels_of_groups(found, axes), caption, found)


def figures_15_to_22(sources: Sources, axes: AxisScale) -> Iterator[Picture]:
    """All convolutions under SN, of each run that collapsed."""
    yield from (all_layers(run, axes) for run in sources.collapsed_under_sn())


def convolutions(history: SpectraHistory) -> dict[str, np.ndarray]:
    """Title of the panel, e.g. "0.conv1  64×27" (the matrix's size), -> `[T, N]`."""
    return {
        f"{layer.name.removeprefix('blocks.')}  {layer.shape[0]}×{np.prod(layer.shape[1:])}": history.spectra[
            layer.name
        ]
        for layer in history.layers
        if layer.is_convolution
    }


def all_layers(run: RecordedRun, axes: AxisScale) -> Picture:
    """One run's convolutions, a panel each."""
    assert run.spectra is not None
    words = f"{described(run)}: {verdict_words(run)}"
    figure = grid_of_layers(convolutions(run.spectra), run.spectra.iterations, words, axes)
    caption = f"Spectra of every convolution of D, a curve for each iteration: {described(run)}. {ONSETS}"
    return Picture(run.key, figure, caption, [run])


def panels_of_runs(runs: Sequence[RecordedRun], axes: AxisScale, columns: int = 5, aspect: float = 0.75) -> Figure:
    """The last convolution of each run over training, all with the same axes and colours."""
    figure, panels = grid_of_panels([title(run) for run in runs], columns, aspect=aspect)
    assert isinstance(figure, Figure)
    norm = iteration_norm(*map(spectra_iterations, runs))
    limits = ratio_limits(list(map(last_spectra, runs)), axes)
    for panel, run in zip(panels, runs, strict=True):
        spectrum_curves(panel, last_spectra(run), spectra_iterations(run), norm)
        ratio_axis(panel, axes, limits)
    figure.supxlabel(K_LABEL)
    figure.supylabel(RATIO_LABEL)
    iteration_bar(figure, panels, norm)
    return figure


def panels_of_groups(runs: Sequence[RecordedRun], axes: AxisScale) -> Figure:
    """The last convolution at the end, settings of a group in one panel."""
    groups: dict[str, list[RecordedRun]] = {}
    for run in runs:
        groups.setdefault(run.key[0], []).append(run)
    figure, panels = grid_of_panels([f"group {name}" for name in groups], columns=3)
    assert isinstance(figure, Figure)
    limits = ratio_limits(list(map(last_spectra, runs)), axes)
    for panel, members in zip(panels, groups.values(), strict=True):
        for run in members:
            spectrum_curves(panel, last_spectra(run)[0], **FIRST_RECORD)
        curves = []
        for own, run in zip(ordered_styles(len(members)), members, strict=True):
            label = run.key + (f" ({verdict_words(run)})" if run.collapsed else "")
            curves += spectrum_curves(panel, last_spectra(run)[-1], **own._asdict() | {"marker": ""}, label=label)
        ratio_axis(panel, axes, limits)
        panel.legend(handles=curves)
    figure.legend(handles=[Line2D([], [], **FIRST_RECORD)], loc="lower right")
    figure.supxlabel(K_LABEL)
    figure.supylabel(RATIO_LABEL)
    return figure
