"""Fig. 8, 11 and 12: SR-s at i = 0.25 N ... N, what D makes of test images, static against dynamic compensation."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure, SubFigure
from pandas import DataFrame

from reproduce.figures.runs import FinishedSweep, Picture, Sources, evaluations, listed, present_scores, score_title
from reproduce.figures.training_figures import CURVES, panels_of_runs
from reproduce.plan.table_runs import FRACTIONS, TABLE_FRACTION
from srgan.plotting import MARK, PAGE_WIDTH, SERIES, AxisScale, grid_of_panels, ordered_styles
from srgan.runs.recorded import RecordedRun

REPORTED = "As in Table II, a run that mode-collapsed (red cross) shows its best evaluation before, others their last."
POINTS = 256  # of a density curve
Outputs = Mapping[str, np.ndarray]
"""Kind of images -> D's outputs `[M]`."""


def figure_8(sources: Sources, axes: AxisScale) -> Iterator[Picture]:
    """Scores against i."""
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
    """Distributions of D's outputs and of its objective, for each i."""
    for sweep in sources.sweeps():
        runs = {share: run for share, run in sweep.static.items() if run.outputs}
        if runs:
            outputs = {
                share: {kind: values[-1] for kind, values in run.outputs.outputs.items()}
                for share, run in runs.items()
                if run.outputs
            }
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
    """Static and dynamic compensation: scores and spectra."""
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
    groups: dict[str, list[FinishedSweep]] = {}
    for sweep in sweeps:
        groups.setdefault(sweep.setting[0], []).append(sweep)
    names = present_scores([evaluations(run) for sweep in sweeps for run in sweep.static.values()])
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
    handles = [line for axis in several for line in axis.lines if not str(line.get_label()).startswith("_")]
    if handles:
        figure.legend(handles=handles, loc="outside lower center", ncols=5)
    for axis in axes[-len(groups) :]:
        axis.set_xlabel(r"$i / N$")
    return figure


def i_label(share: float) -> str:
    """E.g. "i = 0.25 N" or "i = N", typeset."""
    return r"$i$ = $N$" if share == 1 else rf"$i$ = ${share:g}\,N$"


def distributions(outputs: Mapping[float, Outputs]) -> Figure:
    """(a) generated, (b) training, (c) objective for each i; (d) training against test, a panel for each i."""
    tested = all("test" in kinds for kinds in outputs.values())
    figure = Figure(figsize=(PAGE_WIDTH, 4.1 if tested else 2.2), layout="constrained")
    rows = figure.add_gridspec(2 if tested else 1, 1)
    top, *below = (figure.add_subfigure(rows[row]) for row in range(rows.nrows))
    objectives = {share: objective(kinds["train"], kinds["generated"]) for share, kinds in outputs.items()}
    grid = x_grid([values for kinds in outputs.values() for values in kinds.values()])
    c_grid = x_grid(list(objectives.values()))
    _, (a, b, c) = grid_of_panels(["(a) generated images", "(b) training images", "(c) objective"], 3, top, share=False)
    for own, (share, kinds) in zip(ordered_styles(len(outputs)), outputs.items(), strict=True):
        panels = ((a, kinds["generated"], grid), (b, kinds["train"], grid), (c, objectives[share], c_grid))
        for axis, values, x in panels:
            axis.plot(x, density(values, x), color=own.color, linestyle=own.linestyle, label=i_label(share))
    highest = max(axis.dataLim.ymax for axis in (a, b))
    for axis in (a, b):
        axis.set(xlim=(grid[0], grid[-1]), ylim=(0, 1.05 * highest), xlabel=r"$D(x)$")
    a.set(xlabel=r"$D(G(z))$", ylabel="density")
    c.set(xlim=(c_grid[0], c_grid[-1]), ylim=(0, None), xlabel=r"$V(D, G)$ of a pair")
    a.legend()
    for rest in below:
        train_against_test(rest, outputs, grid)
    return figure


def train_against_test(figure: SubFigure, outputs: Mapping[float, Outputs], grid: np.ndarray) -> None:
    """A panel for each i, all with the same axes."""
    _, axes = grid_of_panels([f"(d) {i_label(share)}" for share in outputs], len(outputs), figure)
    for axis, kinds in zip(axes, outputs.values(), strict=True):
        for own, (kind, label) in zip(SERIES, {"train": "training", "test": "test"}.items(), strict=False):
            axis.plot(grid, density(kinds[kind], grid), color=own.color, linestyle=own.linestyle, label=label)
        axis.set(xlim=(grid[0], grid[-1]), xlabel=r"$D(x)$")
    axes[0].set_ylim(0, 1.05 * max(axis.dataLim.ymax for axis in axes))
    axes[0].set_ylabel("density")
    axes[0].legend()


def objective(real: np.ndarray, fake: np.ndarray) -> np.ndarray:
    """Eq. 6 of D, which D maximizes, of pairs: min(0, D(x) - 1) + min(0, -D(G(z)) - 1). `[M]`, `[M]` -> `[M]`."""
    pairs: np.ndarray = np.minimum(0, real - 1) + np.minimum(0, -fake - 1)
    return pairs


def x_grid(samples: Sequence[np.ndarray]) -> np.ndarray:
    """Where to draw the densities of some samples: all but their outermost thousandths, with a margin. `[POINTS]`."""
    low, high = np.quantile(np.concatenate(samples), [0.001, 0.999])
    margin = 0.08 * (high - low) or 1.0
    return np.linspace(low - margin, high + margin, POINTS)


def density(values: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Gaussian kernel estimate on the grid, of Scott's bandwidth (at least the grid's step). `[M]`, `[G]` -> `[G]`."""
    bandwidth = max(float(values.std()) * len(values) ** -0.2, float(grid[1] - grid[0]))
    kernels = np.exp(-0.5 * np.square((grid[:, None] - values) / bandwidth))
    curve: np.ndarray = kernels.mean(axis=1) / (bandwidth * np.sqrt(2 * np.pi))
    return curve


def scores_of_compensations(pairs: Mapping[str, Mapping[str, RecordedRun]]) -> Figure:
    """A panel for each score; settings along x, a marker for each method."""
    names = present_scores([evaluations(run) for runs in pairs.values() for run in runs.values()])
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
