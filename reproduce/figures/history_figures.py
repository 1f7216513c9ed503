"""Fig. 5, 6 and 7: training histories, spectra and samples beside one another."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.image import imread

from reproduce.figures.available_runs import Sources
from reproduce.figures.model import Picture, described, fraction, last_spectra, sizes, spectra_iterations, verdict_words
from reproduce.figures.score_panels import iteration_axis, present_scores, score_panels, score_title
from reproduce.figures.spectra_figures import ONSETS
from srgan.plotting import (
    K_LABEL,
    MARK,
    PAGE_WIDTH,
    RATIO_LABEL,
    AxisScale,
    grid_of_panels,
    iteration_bar,
    iteration_colours,
    iteration_norm,
    ratio_axis,
    ratio_limits,
    spectrum_curves,
)
from srgan.runs.recorded import RecordedRun, Rows
from srgan.utils.downsampling import kept_times

EVALUATIONS = 16  # shown in Fig. 5 at most


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
    def scores(self) -> Rows:
        """Evaluations in order."""
        rows = self.origin.scores if self.origin else []
        return [dict(row) for row in rows if self.since <= row["iteration"] <= self.branch] + list(self.run.scores)

    @property
    def spectra(self) -> tuple[np.ndarray, np.ndarray]:
        """Iterations `[T]` and spectra `[T, N]` of the last convolution."""
        own = spectra_iterations(self.run), last_spectra(self.run)
        if self.origin is None:
            return own
        before = spectra_iterations(self.origin)
        kept = (before >= self.since) & (before <= self.branch) & (before < own[0][0])
        return np.concatenate([before[kept], own[0]]), np.concatenate([last_spectra(self.origin)[kept], own[1]])


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
    start, sn, sr_d = (sources.part_of_resume(part) for part in ("sn-start", "sn", "sr-d"))
    if start and sn and sr_d:
        branch = sr_d.branch or 0
        strands = {"SN": Strand(sn, start), "SR-d": Strand(sr_d, start, since=branch)}
        caption = (
            f"SN, and SR-d from SN's checkpoint at iteration {branch:,} (grey line): scores, spectra of D's last 3 × 3 "
            f"convolution, samples of the same latents at the end: {described(sn)}; {described(sr_d)}. "
            f"{happened(strands)}"
        )
        yield Picture("resume", training_history(strands, axes), caption, [start, sn, sr_d])
    for sr_d in sources.finished("collapse"):
        branch = sr_d.branch or 0
        sn = next(run for run in sources.finished("table2 sn") if run.key == sr_d.key)
        strands = {"SN": Strand(sn), "SR-d": Strand(sr_d, sn, since=branch)}
        caption = (
            f"The same with few channels: SR-d goes on from SN's checkpoint at iteration {branch:,}: {described(sn)}; "
            f"{described(sr_d)}. {happened(strands)}"
        )
        yield Picture(sr_d.key, training_history(strands, axes), caption, [sn, sr_d])


def figure_7(sources: Sources, axes: AxisScale) -> Iterator[Picture]:
    """Trained from scratch: SN, which collapses, against SR-s."""
    static = {run.key: run for run in sources.finished("table2 sr") if fraction(run) is not None}
    for sn in sources.collapsed_under_sn():
        if sr_s := static.get(sn.key):
            strands = {run.label: Strand(run) for run in (sn, sr_s)}
            caption = (
                "SN against SR-s from scratch: scores, spectra of D's last 3 × 3 convolution, samples of the same "
                f"latents at the end: {described(sn)}; {described(sr_s)}. {happened(strands)}"
            )
            yield Picture(sn.key, training_history(strands, axes), caption, [sn, sr_s])


def happened(strands: Mapping[str, Strand]) -> str:
    """Verdicts, for a caption: of each run, and of what it went on from where that is shown and collapsed."""
    words = []
    for name, strand in strands.items():
        origin = strand.origin if strand.origin and strand.origin.collapsed and not strand.since else None
        words.append(f"{name}: {verdict_words(strand.run)}" + (f", before: {verdict_words(origin)}" if origin else ""))
    return "; ".join(words) + "."


def spectrum_beside_scores(run: RecordedRun, axes: AxisScale) -> Figure:
    """Curves of the spectrum and points of FID and IS, one colour for one iteration."""
    rows = around(run.scores, run.collapse_iteration("mode_collapse"))
    names = [score for score in present_scores([run.scores]) if score != "modes"]
    figure, panels = grid_of_panels(
        ["spectrum of D's last 3 × 3 convolution", *map(score_title, names)], 3, share=False
    )
    assert isinstance(figure, Figure)
    recorded = spectra_iterations(run)
    at = [max(0, int((recorded <= row["iteration"]).sum()) - 1) for row in rows]  # the record at or last before
    shown = np.array([row["iteration"] for row in rows])
    norm = Normalize(shown[0], max(shown[-1], shown[0] + 1))
    spectrum_curves(panels[0], last_spectra(run)[at], shown, norm, most=len(rows))
    ratio_axis(panels[0], axes, ratio_limits([last_spectra(run)[at]], axes))
    panels[0].set(xlabel=K_LABEL, ylabel=RATIO_LABEL)
    for panel, score in zip(panels[1:], names, strict=True):
        values = [row[score] for row in rows]
        panel.plot(shown, values, color="#999999", linewidth=0.8, zorder=1)
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


def mark_collapse(axis: Axes, run: RecordedRun, place_of_words: int = 0) -> None:
    """Lines where mode and spectral collapse were found; the words of several runs stand below one another."""
    top = -7 - 16 * place_of_words
    kinds = (("MC", "mode_collapse", (0, (4, 2)), top), ("SC", "spectral_collapse", (0, (1, 1.5)), top - 8))
    for short, kind, linestyle, below in kinds:
        onset = run.collapse_iteration(kind)
        if onset is not None:
            axis.axvline(onset, color=MARK, linewidth=0.9, linestyle=linestyle, zorder=0)
            words = f"{short} {run.label}"
            place: Any = {"xy": (onset, 1), "xycoords": ("data", "axes fraction"), "textcoords": "offset points"}
            axis.annotate(words, xytext=(2, below), color=MARK, fontsize=6.5, **place)


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
            if strand.origin and not strand.since:
                mark_collapse(panel, strand.origin, row)
            if strand.origin:
                panel.axvline(strand.branch, color="#999999", linewidth=0.8, zorder=0)
    curves = {name: strand.spectra for name, strand in strands.items()}
    norm = iteration_norm(*(iterations for iterations, _ in curves.values()))
    limits = ratio_limits([spectra for _, spectra in curves.values()], axes)
    _, panels = grid_of_panels([f"{name}: spectrum" for name in curves], len(curves), middle)
    for panel, (iterations, spectra) in zip(panels, curves.values(), strict=True):
        spectrum_curves(panel, spectra, iterations, norm)
        ratio_axis(panel, axes, limits)
        panel.set_xlabel(K_LABEL)
    panels[0].set_ylabel(RATIO_LABEL)
    iteration_bar(middle, panels, norm)
    pictures = {name: strand.run.folder.read_samples() for name, strand in strands.items()}
    _, panels = grid_of_panels(list(pictures), len(pictures), bottom, share=False)
    for panel, (name, samples) in zip(panels, pictures.items(), strict=True):
        show_samples(panel, name, samples)
    return figure


def show_samples(axis: Axes, name: str, samples: Mapping[int, Path]) -> None:
    """The last grid of samples, pixel by pixel."""
    axis.set_axis_off()
    if not samples:
        axis.set_title(f"{name}: no samples were recorded")
        return
    last = max(samples)
    axis.imshow(imread(samples[last]), interpolation="nearest")
    axis.set_title(f"{name}: samples at iteration {last:,}")
