"""Fig. 5, 6 and 7: training histories, spectra and samples beside one another."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.image import imread

from reproduce.figures.model import (
    Picture,
    described,
    last_layer,
    present_scores,
    score_panels,
    score_title,
    sizes,
    verdicts,
)
from reproduce.figures.sources import Sources
from reproduce.figures.spectra_figures import ONSETS, draw_spectra
from reproduce.plan.variants import FRACTION
from reproduce.results.picture import iteration_axis
from srgan.plotting import (
    K_LABEL,
    MARK,
    PAGE_WIDTH,
    RATIO_LABEL,
    AxisScale,
    grid_of_panels,
    iteration_bar,
    iteration_colours,
    ratio_axis,
    ratio_limits,
    spectrum_curves,
)
from srgan.runs.recorded import RecordedRun, Rows
from srgan.utils.downsampling import kept_times

EVALUATIONS = 16  # shown in Fig. 5 at most
SHOWN = "scores, spectra of D's last 3 × 3 convolution, samples of the same latents at the end"
GREY = "#999999"


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
    def shown_origin(self) -> RecordedRun | None:
        """`origin` where more of it is shown than the point of the branch."""
        return None if self.since else self.origin

    @property
    def scores(self) -> Rows:
        """Evaluations in order."""
        rows = self.origin.scores if self.origin else []
        return [row for row in rows if self.since <= row["iteration"] <= self.branch] + list(self.run.scores)

    @property
    def spectra(self) -> tuple[np.ndarray, np.ndarray]:
        """Iterations `[T]` and spectra `[T, N]` of the last convolution."""
        iterations, spectra = last_layer(self.run)
        if self.origin is None:
            return iterations, spectra
        before, earlier = last_layer(self.origin)
        kept = (before >= self.since) & (before <= self.branch) & (before < iterations[0])
        return np.concatenate([before[kept], iterations]), np.concatenate([earlier[kept], spectra])


def figure_5(sources: Sources, axes: AxisScale) -> Iterator[Picture]:
    """The spectrum beside the scores at the same iterations, of each run that collapsed under SN."""
    for run in sources.collapsed_under_sn():
        if run.scores:
            caption = (
                "Spectra of D's last 3 × 3 convolution beside the scores at the same iterations, in the same colours: "
                f"{described(run)}. {ONSETS}"
            )
            yield Picture(run.key, spectrum_beside_scores(run, axes), caption, [run])


def figure_6(sources: Sources, axes: AxisScale) -> Iterator[Picture]:
    """Section IV-A: SN, and SR-d from one of its checkpoints."""
    parts = {run.folder.path.name: run for run in sources.finished("resume")}
    if {"sn-start", "sn", "sr-d"} <= parts.keys():
        start, sn, sr_d = parts["sn-start"], parts["sn"], parts["sr-d"]
        strands = {"SN": Strand(sn, start), "SR-d": Strand(sr_d, start, since=sr_d.branch or 0)}
        branch = strands["SR-d"].branch
        caption = f"SN, and SR-d from SN's checkpoint at iteration {branch:,} (grey line): {SHOWN}"
        yield history_picture("resume", strands, caption, axes, [start, sn, sr_d])
    for sr_d in sources.finished("collapse"):
        sn = next(run for run in sources.finished("table2 sn") if run.key == sr_d.key)
        strands = {"SN": Strand(sn), "SR-d": Strand(sr_d, sn, since=sr_d.branch or 0)}
        branch = strands["SR-d"].branch
        caption = f"The same with few channels: SR-d goes on from SN's checkpoint at iteration {branch:,}"
        yield history_picture(sr_d.key, strands, caption, axes, [sn, sr_d])


def figure_7(sources: Sources, axes: AxisScale) -> Iterator[Picture]:
    """Trained from scratch: SN, which collapses, against SR-s."""
    static = {run.key: run for run in sources.finished("table2 sr") if FRACTION in run.settings}
    for sn in sources.collapsed_under_sn():
        if sr_s := static.get(sn.key):
            strands = {run.label: Strand(run) for run in (sn, sr_s)}
            yield history_picture(sn.key, strands, f"SN and SR-s from the start: {SHOWN}", axes, [sn, sr_s])


def history_picture(
    name: str, strands: Mapping[str, Strand], caption: str, axes: AxisScale, runs: list[RecordedRun]
) -> Picture:
    """The history of some strands; its caption goes on with the runs and their verdicts."""
    outcomes = []
    for label, strand in strands.items():
        origin = strand.shown_origin if strand.shown_origin and strand.shown_origin.collapsed else None
        outcomes.append(f"{label}: {verdicts(strand.run)}" + (f", before: {verdicts(origin)}" if origin else ""))
    of_runs = "; ".join(described(strand.run) for strand in strands.values())
    return Picture(name, training_history(strands, axes), f"{caption}: {of_runs}. {'; '.join(outcomes)}.", runs)


def spectrum_beside_scores(run: RecordedRun, axes: AxisScale) -> Figure:
    """Curves of the spectrum and points of FID and IS, one colour for one iteration."""
    rows = around(run.scores, run.collapse_iteration("mode_collapse"))
    names = [score for score in present_scores([run.scores]) if score != "modes"]
    figure, panels = grid_of_panels(
        ["spectrum of D's last 3 × 3 convolution", *map(score_title, names)], 3, share=False
    )
    assert isinstance(figure, Figure)
    recorded, spectra = last_layer(run)
    at = [max(0, int((recorded <= row["iteration"]).sum()) - 1) for row in rows]  # the record at or last before
    shown = np.array([row["iteration"] for row in rows])
    norm = Normalize(shown[0], max(shown[-1], shown[0] + 1))
    spectrum_curves(panels[0], spectra[at], shown, norm, most=len(rows))
    ratio_axis(panels[0], axes, ratio_limits([spectra[at]], axes))
    panels[0].set(xlabel=K_LABEL, ylabel=RATIO_LABEL)
    for panel, score in zip(panels[1:], names, strict=True):
        values = [row[score] for row in rows]
        panel.plot(shown, values, color=GREY, linewidth=0.8, zorder=1)
        panel.scatter(shown, values, c=iteration_colours()(norm(shown)), s=22, zorder=2)
        iteration_axis(panel)
        panel.set_ylim(0, 1.12 * max(values))
        mark_collapse(panel, run)
    iteration_bar(figure, panels, norm)
    return figure


def around(rows: Rows, onset: int | None) -> list[Mapping[str, Any]]:
    """The evaluations nearest to the collapse, where there are too many to tell apart."""
    if onset is None:
        iterations = np.array([row["iteration"] for row in rows])
        return [rows[k] for k in kept_times(iterations, EVALUATIONS)]
    nearest = sorted(rows, key=lambda row: abs(int(row["iteration"]) - onset))[:EVALUATIONS]
    return sorted(nearest, key=lambda row: int(row["iteration"]))


def mark_collapse(axis: Axes, run: RecordedRun, row: int = 0) -> None:
    """Lines where mode and spectral collapse were found, labelled; the labels of several runs in rows of their own."""
    kinds = (("MC", "mode_collapse", (0, (4, 2)), -7), ("SC", "spectral_collapse", (0, (1, 1.5)), -15))
    for short, kind, linestyle, height in kinds:
        onset = run.collapse_iteration(kind)
        if onset is not None:
            axis.axvline(onset, color=MARK, linewidth=0.9, linestyle=linestyle, zorder=0)
            place: Any = {"xy": (onset, 1), "xycoords": ("data", "axes fraction"), "textcoords": "offset points"}
            axis.annotate(f"{short} {run.label}", xytext=(2, height - 16 * row), color=MARK, fontsize=6.5, **place)


def training_history(strands: Mapping[str, Strand], axes: AxisScale) -> Figure:
    """Scores above, spectra of each run on the same axes below, samples at the end at the bottom."""
    figure = Figure(figsize=(PAGE_WIDTH, 7.6), layout="constrained")
    first = next(iter(strands.values())).run
    figure.suptitle(f"{first.key}, {sizes(first)}: {' against '.join(strands)}")
    grid = figure.add_gridspec(3, 1, height_ratios=[2, 2.3, 3.3])
    top, middle, bottom = (figure.add_subfigure(grid[row]) for row in range(3))
    histories = {name: strand.scores for name, strand in strands.items()}
    _, panels = grid_of_panels(present_scores(histories.values()), 3, top, share=False)
    score_panels(panels, histories)
    for panel in panels:
        for row, strand in enumerate(strands.values()):
            mark_collapse(panel, strand.run, row)
            if strand.shown_origin:
                mark_collapse(panel, strand.shown_origin, row)
            if strand.origin:
                panel.axvline(strand.branch, color=GREY, linewidth=0.8, zorder=0)
    _, panels = grid_of_panels([f"{name}: spectrum" for name in strands], len(strands), middle)
    draw_spectra(middle, panels, [strand.spectra for strand in strands.values()], axes)
    for panel in panels:
        panel.set_xlabel(K_LABEL)
    panels[0].set_ylabel(RATIO_LABEL)
    _, panels = grid_of_panels(list(strands), len(strands), bottom, share=False)
    for panel, (name, strand) in zip(panels, strands.items(), strict=True):
        panel.set_axis_off()
        samples = strand.run.folder.read_samples()
        if samples:
            panel.imshow(imread(samples[max(samples)]), interpolation="nearest")
        panel.set_title(f"{name}: samples at iteration {max(samples):,}" if samples else f"{name}: no samples recorded")
    return figure
