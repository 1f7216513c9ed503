"""Fig. 2, 4 and 15 to 22: spectra of discriminators over training, without and with collapse."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D

from reproduce.figures.model import Picture, described, last_layer, listed, title, verdicts
from reproduce.figures.sources import Sources
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
from srgan.runs.recorded import RecordedRun

CURVES = "Spectra of D's last 3 × 3 convolution, a curve for each iteration"
ONSETS = "MC, SC: first iteration of mode and spectral collapse by our rules."
FIRST_RECORD: dict[str, Any] = {
    "color": "#999999", "linewidth": 0.9, "linestyle": (0, (1, 1)), "marker": "", "label": "first record",
}  # fmt: skip


def figure_2(sources: Sources, axes: AxisScale) -> Iterator[Picture]:
    """The last convolution under SN, of settings that did not collapse."""
    steady = [run for run in sources.finished("table2 sn") if not run.collapsed]
    if steady:
        caption = f"{CURVES}, of the settings that did not collapse under SN: {listed(steady)}."
        yield Picture("uncollapsed", panels_of_runs(steady, axes), caption, steady)


def figure_4(sources: Sources, axes: AxisScale) -> Iterator[Picture]:
    """The last convolution under SN, of settings that collapsed; and the five groups of Table I at the end."""
    found, collapsed = sources.finished("table2 sn"), sources.collapsed_under_sn()
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
    """All convolutions under SN, a panel each, of each run that collapsed."""
    for run in sources.collapsed_under_sn():
        assert run.spectra is not None
        spectra = {
            f"{layer.name.removeprefix('blocks.')}  {layer.shape[0]}×{np.prod(layer.shape[1:])}": run.spectra.spectra[
                layer.name
            ]
            for layer in run.spectra.layers
            if layer.is_convolution
        }
        figure = grid_of_layers(spectra, run.spectra.iterations, f"{described(run)}: {verdicts(run)}", axes)
        caption = f"Spectra of every convolution of D, a curve for each iteration: {described(run)}. {ONSETS}"
        yield Picture(run.key, figure, caption, [run])


def panels_of_runs(runs: Sequence[RecordedRun], axes: AxisScale, columns: int = 5, aspect: float = 0.75) -> Figure:
    """The last convolution of each run over training, all with the same axes and colours."""
    figure, panels = grid_of_panels([title(run) for run in runs], columns, aspect=aspect)
    assert isinstance(figure, Figure)
    draw_spectra(figure, panels, [last_layer(run) for run in runs], axes)
    figure.supxlabel(K_LABEL)
    figure.supylabel(RATIO_LABEL)
    return figure


def draw_spectra(
    figure: Figure | SubFigure,
    panels: Sequence[Axes],
    histories: Sequence[tuple[np.ndarray, np.ndarray]],
    axes: AxisScale,
) -> None:
    """Iterations `[T]` and spectra `[T, N]` over training, a panel for each, all with the same axes and colours."""
    norm = iteration_norm(*(iterations for iterations, _ in histories))
    limits = ratio_limits([spectra for _, spectra in histories], axes)
    for panel, (iterations, spectra) in zip(panels, histories, strict=True):
        spectrum_curves(panel, spectra, iterations, norm)
        ratio_axis(panel, axes, limits)
    iteration_bar(figure, panels, norm)


def panels_of_groups(runs: Sequence[RecordedRun], axes: AxisScale) -> Figure:
    """The last convolution at the end, settings of a group in one panel."""
    groups: dict[str, list[RecordedRun]] = {}
    for run in runs:
        groups.setdefault(run.key[0], []).append(run)
    figure, panels = grid_of_panels([f"group {name}" for name in groups], columns=3)
    assert isinstance(figure, Figure)
    spectra = {run: last_layer(run)[1] for run in runs}
    limits = ratio_limits(list(spectra.values()), axes)
    for panel, members in zip(panels, groups.values(), strict=True):
        for run in members:
            spectrum_curves(panel, spectra[run][0], **FIRST_RECORD)
        curves = []
        for own, run in zip(ordered_styles(len(members)), members, strict=True):
            label = run.key + (f" ({verdicts(run)})" if run.collapsed else "")
            curves += spectrum_curves(panel, spectra[run][-1], **own._asdict() | {"marker": ""}, label=label)
        ratio_axis(panel, axes, limits)
        panel.legend(handles=curves)
    figure.legend(handles=[Line2D([], [], **FIRST_RECORD)], loc="lower right")
    figure.supxlabel(K_LABEL)
    figure.supylabel(RATIO_LABEL)
    return figure
