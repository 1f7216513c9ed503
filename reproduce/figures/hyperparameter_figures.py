"""Fig. 8, 11 and 12: SR-s at i = 0.25 N ... N, what D makes of test images, static against dynamic compensation."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas import DataFrame

from reproduce.figures.runs import FinishedSweep, Picture, Sources, listed, present_scores, score_title
from reproduce.figures.training_figures import CURVES, panels_of_runs
from reproduce.plan.table_runs import FRACTIONS, TABLE_FRACTION
from srgan.plotting import MARK, PAGE_WIDTH, SERIES, AxisScale, SeriesStyle, grid_of_panels, ordered_styles
from srgan.runs.recorded import RecordedRun

REPORTED = "As in Table II, a run that mode-collapsed (red cross) shows its best evaluation before, others their last."
POINTS = 256  # of a density curve
Outputs = Mapping[str, np.ndarray]  # kind of images -> D's outputs `[M]`


def figure_8(sources: Sources, axes: AxisScale) -> Iterator[Picture]:
    found = [sweep for sweep in sources.sweeps() if sweep.static]
    if found:
        runs = [run for sweep in found for run in sweep.points.values()]
        caption = (
            "Scores against i, the number of compensated singular values, in each group of Table I (each with axes of "
            f"its own); SN's forward pass is that of i = 1. i = floor(share of N), at least 1. "
            f"{REPORTED} {listed(runs)}."
        )
        yield Picture("scores", scores_against_i(found), caption, runs)


def figure_11(sources: Sources, axes: AxisScale) -> Iterator[Picture]:
    for sweep in sources.sweeps():
        runs = {share: run for share, run in sweep.static.items() if run.outputs}
        if runs:
            histories = {share: run.outputs.outputs for share, run in runs.items() if run.outputs}
            outputs = {share: {kind: made[-1] for kind, made in kinds.items()} for share, kinds in histories.items()}
            first = next(iter(outputs.values()))
            against_test = "(d) training against test images: where they part, D overfits"
            caption = (
                f"D's outputs at the end of training on {len(first['generated']):,} images of each kind, for SR-s at "
                "each i: (a) generated, (b) training images; (c) the objective of Eq. 6, min(0, D(x) - 1) + "
                "min(0, -D(G(z)) - 1), of training and generated images pair by pair; "
                f"{against_test if 'test' in first else 'no test images'}. Gaussian kernel estimates. "
                f"{listed(list(runs.values()))}."
            )
            yield Picture(sweep.setting, distributions(outputs), caption, list(runs.values()))


def figure_12(sources: Sources, axes: AxisScale) -> Iterator[Picture]:
    complete: dict[str, dict[str, RecordedRun]] = {}
    for sweep in sources.sweeps():
        sn, sr_s, sr_d = sweep.sn, sweep.static.get(TABLE_FRACTION), sweep.dynamic
        if sn and sr_s and sr_d:
            complete[sweep.setting] = {"SN": sn, "SR-s": sr_s, "SR-d": sr_d}
    if complete:
        runs = [run for methods in complete.values() for run in methods.values()]
        caption = f"SN, static (SR-s, i = 0.5 N) and dynamic (SR-d) compensation: {listed(runs)}."
        yield Picture("scores", scores_of_compensations(complete), f"Scores of {caption} {REPORTED}", runs)
        yield Picture("spectra", panels_of_runs(runs, axes, columns=3, aspect=0.6), f"{CURVES}: {caption}", runs)


def reported(runs: Mapping[Any, RecordedRun], score: str) -> DataFrame:
    """The "value" of a reported score, where there is one, and whether it is from before a mode collapse."""
    lines = {
        key: (value, run.collapse_iteration("mode_collapse") is not None)
        for key, run in runs.items()
        if (value := (run.record["reported"] or {}).get(score)) is not None
    }
    return DataFrame.from_dict(lines, orient="index", columns=["value", "collapsed"])


def scores_against_i(sweeps: Sequence[FinishedSweep]) -> Figure:
    """A row of panels for each score, a column for each group, a curve for each setting; crosses: mode collapses."""
    groups = {name: list(members) for name, members in groupby(sweeps, key=lambda sweep: sweep.setting[0])}
    names = present_scores(run for sweep in sweeps for run in sweep.static.values())
    titles = [f"group {group}" + (f"\n{some[0].setting}" if len(some) == 1 else "") for group, some in groups.items()]
    titles += [""] * (len(groups) * (len(names) - 1))
    figure, axes = grid_of_panels(titles, len(groups), share=False, aspect=0.55)
    assert isinstance(figure, Figure)
    for place, axis in enumerate(axes):
        score, members = names[place // len(groups)], list(groups.values())[place % len(groups)]
        for own, sweep in zip(ordered_styles(len(members)), members, strict=True):
            values = reported(sweep.points, score)
            axis.plot(values.value, **own._asdict(), label=sweep.setting)
            axis.plot(values.value[values.collapsed], "x", color=MARK, markersize=7, label="_collapsed")
        axis.set_xticks([0, *FRACTIONS], ["SN", *(f"{share:g}".removeprefix("0") for share in FRACTIONS)])
        axis.set_xlim(-0.08, 1.08)
        axis.margins(y=0.12)
        if place % len(groups) == 0:
            axis.set_ylabel(score_title(score).replace(" (", "\n("))
    several = [axis for axis, members in zip(axes, groups.values(), strict=False) if len(members) > 1]
    if handles := [handle for axis in several for handle in axis.get_legend_handles_labels()[0]]:
        figure.legend(handles=handles, loc="outside lower center", ncols=5)
    for axis in axes[-len(groups) :]:
        axis.set_xlabel(r"$i / N$")
    return figure


def distributions(outputs: Mapping[float, Outputs]) -> Figure:
    """(a) generated, (b) training, (c) objective for each i; (d) training against test, a panel for each i."""
    tested = all("test" in kinds for kinds in outputs.values())
    figure = Figure(figsize=(PAGE_WIDTH, 4.1 if tested else 2.2), layout="constrained")
    rows = figure.add_gridspec(2 if tested else 1, 1)
    top, *below = (figure.add_subfigure(rows[row]) for row in range(rows.nrows))
    labels = [r"$i$ = $N$" if share == 1 else rf"$i$ = ${share:g}\,N$" for share in outputs]
    named = dict(zip(labels, outputs.values(), strict=True))
    objectives = {label: objective(kinds["train"], kinds["generated"]) for label, kinds in named.items()}
    grid = x_grid([values for kinds in outputs.values() for values in kinds.values()])
    c_grid, styles = x_grid(list(objectives.values())), ordered_styles(len(outputs))
    _, (a, b, c) = grid_of_panels(["(a) generated images", "(b) training images", "(c) objective"], 3, top, share=False)
    draw_densities(a, {label: kinds["generated"] for label, kinds in named.items()}, grid, styles)
    draw_densities(b, {label: kinds["train"] for label, kinds in named.items()}, grid, styles)
    draw_densities(c, objectives, c_grid, styles)
    b.set(xlabel=r"$D(x)$", ylim=(0, 1.05 * max(axis.dataLim.ymax for axis in (a, b))))
    a.set(xlabel=r"$D(G(z))$", ylabel="density", ylim=b.get_ylim())
    c.set(xlabel=r"$V(D, G)$ of a pair", ylim=(0, None))
    a.legend()
    for rest in below:
        _, axes = grid_of_panels([f"(d) {label}" for label in labels], len(labels), rest)
        for axis, kinds in zip(axes, outputs.values(), strict=True):
            draw_densities(axis, {"training": kinds["train"], "test": kinds["test"]}, grid, SERIES)
            axis.set_xlabel(r"$D(x)$")
        axes[0].set(ylabel="density", ylim=(0, 1.05 * max(axis.dataLim.ymax for axis in axes)))
        axes[0].legend()
    return figure


def draw_densities(axis: Axes, samples: Outputs, grid: np.ndarray, styles: Sequence[SeriesStyle]) -> None:
    for own, (label, values) in zip(styles, samples.items(), strict=False):
        axis.plot(grid, density(values, grid), color=own.color, linestyle=own.linestyle, label=label)
    axis.set_xlim(grid[0], grid[-1])


def objective(real: np.ndarray, fake: np.ndarray) -> np.ndarray:
    """Eq. 6 of D, which D maximizes, of pairs: min(0, D(x) - 1) + min(0, -D(G(z)) - 1). `[M]`, `[M]` -> `[M]`."""
    return np.asarray(np.minimum(0, real - 1) + np.minimum(0, -fake - 1))


def x_grid(samples: Sequence[np.ndarray]) -> np.ndarray:
    """Where to draw the densities of some samples: all but their outermost thousandths, with a margin. `[POINTS]`."""
    low, high = np.quantile(np.concatenate(samples), [0.001, 0.999])
    margin = 0.08 * (high - low) or 1.0
    return np.linspace(low - margin, high + margin, POINTS)


def density(values: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Gaussian kernel estimate on the grid, of Scott's bandwidth (at least the grid's step). `[M]`, `[G]` -> `[G]`."""
    bandwidth = max(float(values.std()) * len(values) ** -0.2, float(grid[1] - grid[0]))
    kernels = np.exp(-0.5 * np.square((grid[:, None] - values) / bandwidth))
    return np.asarray(kernels.mean(axis=1) / (bandwidth * np.sqrt(2 * np.pi)))


def scores_of_compensations(pairs: Mapping[str, Mapping[str, RecordedRun]]) -> Figure:
    names = present_scores(run for runs in pairs.values() for run in runs.values())
    figure, axes = grid_of_panels([score_title(name) for name in names], 3, share=False)
    assert isinstance(figure, Figure)
    for axis, score in zip(axes, names, strict=True):
        for shift, own, method in zip((-0.18, 0, 0.18), SERIES, ("SN", "SR-s", "SR-d"), strict=False):
            values = reported({place + shift: runs[method] for place, runs in enumerate(pairs.values())}, score)
            axis.plot(values.value, color=own.color, marker=own.marker, linestyle="", markersize=5.5, label=method)
            axis.plot(values.value[values.collapsed], "x", color=MARK, markersize=9, label="_collapsed")
        axis.set_xticks(range(len(pairs)), list(pairs), rotation=30 if len(pairs) > 2 else 0)
        axis.set_xlim(-0.5, len(pairs) - 0.5)
        axis.margins(y=0.2)
    axes[0].legend()
    return figure
