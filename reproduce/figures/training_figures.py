"""Fig. 2, 4 to 7 and 15 to 22: spectra of discriminators over training, and beside them scores and samples."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from pandas import DataFrame

from reproduce.figures.runs import (
    Picture,
    Sources,
    evaluations,
    last_layer,
    listed,
    present_scores,
    score_title,
    sizes,
    verdicts,
)
from reproduce.plan.variants import FRACTION
from reproduce.results.picture import iteration_axis, show_images
from srgan import plotting
from srgan.plotting import K_LABEL, MARK, PAGE_WIDTH, RATIO_LABEL, SERIES, AxisScale
from srgan.runs.recorded import RecordedRun
from srgan.utils.downsampling import kept_times

EVALUATIONS = 16  # shown in Fig. 5 at most
SHOWN = "scores, spectra of D's last 3 × 3 convolution, samples of the same latents at the end"
CURVES = "Spectra of D's last 3 × 3 convolution, a curve for each iteration"
ONSETS = "MC, SC: first iteration of mode and spectral collapse by our rules."
GREY = "#999999"
FIRST_RECORD: dict[str, Any] = {
    "color": GREY, "linewidth": 0.9, "linestyle": (0, (1, 1)), "marker": "", "label": "first record",
}  # fmt: skip


class Strand(NamedTuple):
    """One line of a training history."""

    run: RecordedRun  # its end
    origin: RecordedRun | None = None  # the run whose checkpoint it went on from, or None
    since: int = 0  # the first iteration of `origin` that is shown

    @property
    def branch(self) -> int:
        """The iteration at which `run` took over; 0 if it began from nothing."""
        return self.run.branch or 0

    @property
    def shown(self) -> list[RecordedRun]:
        """`run`, and `origin` where more of it is shown than the point of the branch."""
        return [self.run, self.origin] if self.origin and not self.since else [self.run]

    def history(self, of: Callable[[RecordedRun], DataFrame]) -> DataFrame:
        """What a function takes from runs, by iterations."""
        own, before = of(self.run), of(self.origin).loc[self.since : self.branch] if self.origin else DataFrame()
        return pd.concat([before[~before.index.isin(own.index)], own])


def figure_2(sources: Sources, axes: AxisScale) -> Iterator[Picture]:
    steady = [run for run in sources.finished("table2 sn") if not run.collapsed]
    if steady:
        caption = f"{CURVES}, of the settings that did not collapse under SN: {listed(steady)}."
        yield Picture("uncollapsed", panels_of_runs(steady, axes), caption, steady)


def figure_4(sources: Sources, axes: AxisScale) -> Iterator[Picture]:
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


def figure_5(sources: Sources, axes: AxisScale) -> Iterator[Picture]:
    for run in sources.collapsed_under_sn():
        if run.scores:
            caption = (
                "Spectra of D's last 3 × 3 convolution beside the scores at the same iterations, in the same colours: "
                f"{listed([run])}. {ONSETS}"
            )
            yield Picture(run.key, spectrum_beside_scores(run, axes), caption, [run])


def figure_6(sources: Sources, axes: AxisScale) -> Iterator[Picture]:
    parts = {run.folder.path.name: run for run in sources.finished("resume")}
    if {"sn-start", "sn", "sr-d"} <= parts.keys():
        start, sn, sr_d = parts["sn-start"], parts["sn"], parts["sr-d"]
        strands = {"SN": Strand(sn, start), "SR-d": Strand(sr_d, start, since=sr_d.branch or 0)}
        caption = f"SN, and SR-d from SN's checkpoint at iteration {sr_d.branch or 0:,} (grey line): {SHOWN}"
        yield history_picture("resume", strands, caption, axes, [start, sn, sr_d])
    for sr_d in sources.finished("collapse"):
        sn = next(run for run in sources.finished("table2 sn") if run.key == sr_d.key)
        strands = {"SN": Strand(sn), "SR-d": Strand(sr_d, sn, since=sr_d.branch or 0)}
        caption = f"The same with few channels: SR-d goes on from SN's checkpoint at iteration {sr_d.branch or 0:,}"
        yield history_picture(sr_d.key, strands, caption, axes, [sn, sr_d])


def figure_7(sources: Sources, axes: AxisScale) -> Iterator[Picture]:
    static = {run.key: run for run in sources.finished("table2 sr") if FRACTION in run.settings}
    for sn in sources.collapsed_under_sn():
        if sr_s := static.get(sn.key):
            strands = {run.label: Strand(run) for run in (sn, sr_s)}
            yield history_picture(sn.key, strands, f"SN and SR-s from the start: {SHOWN}", axes, [sn, sr_s])


def figures_15_to_22(sources: Sources, axes: AxisScale) -> Iterator[Picture]:
    for run in sources.collapsed_under_sn():
        assert run.spectra is not None
        layers = [layer for layer in run.spectra.layers if layer.is_convolution]
        titles = [f"{one.name.removeprefix('blocks.')}  {one.shape[0]}×{np.prod(one.shape[1:])}" for one in layers]
        spectra = [run.spectra.spectra[layer.name] for layer in layers]
        whole = f"{listed([run])}: {verdicts(run)}"
        figure = plotting.grid_of_layers(dict(zip(titles, spectra, strict=True)), run.spectra.iterations, whole, axes)
        caption = f"Spectra of every convolution of D, a curve for each iteration: {listed([run])}. {ONSETS}"
        yield Picture(run.key, figure, caption, [run])


def panels_of_runs(runs: Sequence[RecordedRun], axes: AxisScale, columns: int = 5, aspect: float = 0.75) -> Figure:
    """The last convolution of each run over training, all with the same axes and colours."""
    titles = [f"{run.key} {run.label}\n{sizes(run)}" + (f"\n{verdicts(run)}" if run.collapsed else "") for run in runs]
    figure, panels = plotting.grid_of_panels(titles, columns, aspect=aspect)
    assert isinstance(figure, Figure)
    draw_spectra(figure, panels, [last_layer(run) for run in runs], axes)
    figure.supxlabel(K_LABEL)
    figure.supylabel(RATIO_LABEL)
    return figure


def draw_spectra(
    figure: Figure | SubFigure, panels: Sequence[Axes], histories: Sequence[DataFrame], axes: AxisScale
) -> None:
    """Spectra `[T, N]` over training, a panel for each history, all with the same axes and colours."""
    norm = plotting.iteration_norm(*(history.index.to_numpy() for history in histories))
    limits = plotting.ratio_limits([history.to_numpy() for history in histories], axes)
    for panel, history in zip(panels, histories, strict=True):
        plotting.spectrum_curves(panel, history.to_numpy(), history.index.to_numpy(), norm)
        plotting.ratio_axis(panel, axes, limits)
    plotting.iteration_bar(figure, panels, norm)


def panels_of_groups(runs: Sequence[RecordedRun], axes: AxisScale) -> Figure:
    groups = {name: list(members) for name, members in groupby(runs, key=lambda run: run.key[0])}
    figure, panels = plotting.grid_of_panels([f"group {name}" for name in groups], columns=3)
    assert isinstance(figure, Figure)
    spectra = {run: last_layer(run).to_numpy() for run in runs}
    limits = plotting.ratio_limits(list(spectra.values()), axes)
    for panel, members in zip(panels, groups.values(), strict=True):
        for run in members:
            plotting.spectrum_curves(panel, spectra[run][0], **FIRST_RECORD)
        curves = []
        for own, run in zip(plotting.ordered_styles(len(members)), members, strict=True):
            label = run.key + (f" ({verdicts(run)})" if run.collapsed else "")
            curves += plotting.spectrum_curves(panel, spectra[run][-1], **own._asdict() | {"marker": ""}, label=label)
        plotting.ratio_axis(panel, axes, limits)
        panel.legend(handles=curves)
    figure.legend(handles=[Line2D([], [], **FIRST_RECORD)], loc="lower right")
    figure.supxlabel(K_LABEL)
    figure.supylabel(RATIO_LABEL)
    return figure


def spectrum_beside_scores(run: RecordedRun, axes: AxisScale) -> Figure:
    """Curves of the spectrum and points of FID and IS, one colour for one iteration."""
    rows = around(evaluations(run), run.collapse_iteration("mode_collapse"))
    names = [score for score in present_scores([run]) if score != "modes"]
    titles = ["spectrum of D's last 3 × 3 convolution", *map(score_title, names)]
    figure, panels = plotting.grid_of_panels(titles, 3, share=False)
    assert isinstance(figure, Figure)
    spectra, shown = last_layer(run), rows.index.to_numpy()
    at = np.maximum(np.searchsorted(spectra.index, shown, side="right") - 1, 0)  # the record at or last before
    norm = Normalize(shown[0], max(shown[-1], shown[0] + 1))
    drawn = spectra.to_numpy()[at]
    plotting.spectrum_curves(panels[0], drawn, shown, norm, most=len(rows))
    plotting.ratio_axis(panels[0], axes, plotting.ratio_limits([drawn], axes))
    panels[0].set(xlabel=K_LABEL, ylabel=RATIO_LABEL)
    for panel, score in zip(panels[1:], names, strict=True):
        panel.plot(rows[score], color=GREY, linewidth=0.8, zorder=1)
        panel.scatter(shown, rows[score], c=plotting.iteration_colours()(norm(shown)), s=22, zorder=2)
        iteration_axis(panel)
        panel.set_ylim(0, 1.12 * rows[score].max())
        mark_collapse(panel, run)
    plotting.iteration_bar(figure, panels, norm)
    return figure


def around(rows: DataFrame, onset: int | None) -> DataFrame:
    """The evaluations nearest to the collapse, where there are too many to tell apart."""
    if onset is None:
        return rows.iloc[kept_times(rows.index.to_numpy(), EVALUATIONS)]
    nearest = np.argsort(np.abs(rows.index.to_numpy() - onset), kind="stable")[:EVALUATIONS]
    return rows.iloc[np.sort(nearest)]


def mark_collapse(axis: Axes, run: RecordedRun, row: int = 0) -> None:
    """Lines where mode and spectral collapse were found, labelled; the labels of several runs in rows of their own."""
    kinds = (("MC", "mode_collapse", (0, (4, 2)), -7), ("SC", "spectral_collapse", (0, (1, 1.5)), -15))
    for short, kind, linestyle, height in kinds:
        onset = run.collapse_iteration(kind)
        if onset is not None:
            axis.axvline(onset, color=MARK, linewidth=0.9, linestyle=linestyle, zorder=0)
            place: Any = {"xy": (onset, 1), "xycoords": ("data", "axes fraction"), "textcoords": "offset points"}
            axis.annotate(f"{short} {run.label}", xytext=(2, height - 16 * row), color=MARK, fontsize=6.5, **place)


def history_picture(
    name: str, strands: Mapping[str, Strand], caption: str, axes: AxisScale, runs: list[RecordedRun]
) -> Picture:
    """The history of some strands; its caption goes on with the runs and their verdicts."""
    outcomes = []
    for label, strand in strands.items():
        before = "".join(f", before: {verdicts(origin)}" for origin in strand.shown[1:] if origin.collapsed)
        outcomes.append(f"{label}: {verdicts(strand.run)}{before}")
    of_runs = "; ".join(listed([strand.run]) for strand in strands.values())
    return Picture(name, training_history(strands, axes), f"{caption}: {of_runs}. {'; '.join(outcomes)}.", runs)


def training_history(strands: Mapping[str, Strand], axes: AxisScale) -> Figure:
    figure = Figure(figsize=(PAGE_WIDTH, 7.6), layout="constrained")
    first = next(iter(strands.values())).run
    figure.suptitle(f"{first.key}, {sizes(first)}: {' against '.join(strands)}")
    grid = figure.add_gridspec(3, 1, height_ratios=[2, 2.3, 3.3])
    top, middle, bottom = (figure.add_subfigure(grid[row]) for row in range(3))
    draw_scores(top, strands)
    _, panels = plotting.grid_of_panels([f"{name}: spectrum" for name in strands], len(strands), middle)
    draw_spectra(middle, panels, [strand.history(last_layer) for strand in strands.values()], axes)
    for panel in panels:
        panel.set_xlabel(K_LABEL)
    panels[0].set_ylabel(RATIO_LABEL)
    _, panels = plotting.grid_of_panels(list(strands), len(strands), bottom, share=False)
    for panel, (name, strand) in zip(panels, strands.items(), strict=True):
        panel.set_title(f"{name}: no samples recorded")
        samples = strand.run.folder.read_samples()
        shown = {f"{name}: samples at iteration {max(samples):,}": samples[max(samples)]} if samples else {}
        show_images([panel], shown)
    return figure


def draw_scores(figure: SubFigure, strands: Mapping[str, Strand]) -> None:
    """A panel for each score, a curve for each strand, with lines where it collapsed or branched off."""
    histories = {name: strand.history(evaluations) for name, strand in strands.items()}
    names = present_scores(run for strand in strands.values() for run in strand.shown)
    _, panels = plotting.grid_of_panels([score_title(score) for score in names], 3, figure, share=False)
    for panel, score in zip(panels, names, strict=True):
        for own, (name, history) in zip(SERIES, histories.items(), strict=False):
            panel.plot(history[score].dropna() if score in history else [], **own._asdict(), label=name)
        panel.set_ylim(0, 1.12 * panel.dataLim.ymax)
        iteration_axis(panel)
        for row, strand in enumerate(strands.values()):
            for run in strand.shown:
                mark_collapse(panel, run, row)
            if strand.origin:
                panel.axvline(strand.branch, color=GREY, linewidth=0.8, zorder=0)
    panels[0].legend()
