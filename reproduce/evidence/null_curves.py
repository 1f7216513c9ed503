"""What the null model gives, beside what the runs give: its file, table and picture. No torch in here.

Curves are a table with a line for each method and persistence of the noise, as in null_model.json: "method",
"persistence", "shape" of the weight, number of "matrices", and lists over the records: "iteration", and means over the
matrices of "sigma_1", "first_half" (of sigma_k / sigma_1 over k <= N / 2) and "tail" (over k > N / 4).
"""

from collections.abc import Collection, Iterable, Sequence
from functools import cache
from itertools import product
from pathlib import Path

from matplotlib.figure import Figure
from pandas import DataFrame

from reproduce.evidence.records import BASELINE, Evidence, read_lines
from reproduce.plan import variants
from reproduce.plan.run import EVIDENCE
from reproduce.plan.settings import SETTINGS
from reproduce.plan.table_runs import SMALL_WIDTHS
from reproduce.results.picture import iteration_axis
from srgan.plotting import PAGE_WIDTH, SERIES, save, style

UNIT_SR_D, KEPT_SR_S = variants.UNIT_SR_D.label, variants.KEPT_SR_S.label
AFTER_SN = (variants.SR_D.label, variants.SR_S_AFTER_SN.label, UNIT_SR_D, KEPT_SR_S)
"""They project from `BRANCH` on, as in the runs; the others from the start."""
METHODS = (BASELINE, "SR-s", *AFTER_SN[:2], variants.SCALE_CONTROL.label, *AFTER_SN[2:])
SHOWN_ITERATIONS = (100, 1_000, variants.BRANCH + 500, 10_000)
MEASURES = {  # what is recorded -> the title of its panel
    "sigma_1": r"$\sigma_1$",
    "first_half": r"mean of $\sigma_k / \sigma_1$, k ≤ N/2",
    "tail": r"mean of $\sigma_k / \sigma_1$, k > N/4",
}
COMMITTED = EVIDENCE / "null_model.json"


def read_curves(path: Path) -> DataFrame:
    return DataFrame(read_lines(path))


def by_iteration(curves: DataFrame) -> DataFrame:
    """A line for each record, of what a method makes of noise once it differs from SN."""
    if curves.empty:
        return curves
    records = curves.explode(["iteration", *MEASURES]).astype({"iteration": int, **dict.fromkeys(MEASURES, float)})
    return records[(records.iteration > variants.BRANCH) | ~records.method.isin(AFTER_SN)]


@cache
def noise_of(setting: str) -> DataFrame:
    """The committed null model of a row of Table I at scale small, by iteration; empty where D has another width."""
    widths = {row.name: row.discriminator_channels // SMALL_WIDTHS for row in SETTINGS}
    records = by_iteration(read_curves(COMMITTED))
    return records[records["shape"].str[0] == widths.get(setting)]


def in_runs(runs: Iterable[Evidence]) -> DataFrame:
    """The same measures of runs, each under its own method. The evidence has no sigma_1 of each layer."""
    own = [(run, at) for run in runs for at in SHOWN_ITERATIONS if at in run.held.index and at > (run.branch or 0)]
    records = [(run.method, at, run.first_half[at], run.mean_tail[at]) for run, at in own]
    return DataFrame(records, columns=["method", "iteration", "first_half", "tail"])


def in_digits(values: Collection[float]) -> str:
    """From the smallest to the largest, in two digits; a dash for none."""
    if not len(values):
        return "–"
    low, high = f"{min(values):.2f}", f"{max(values):.2f}"
    return low if low == high else f"{low} to {high}"


def null_table(curves: DataFrame, runs: Sequence[Evidence]) -> DataFrame:
    """A line for each method and iteration: ranges of the null model over persistences, and of runs over seeds."""
    sources, lines = (by_iteration(curves), in_runs(runs)), []
    for method, at in product(METHODS, SHOWN_ITERATIONS):
        noise, own = (records[(records.method == method) & (records.iteration == at)] for records in sources)
        columns = (noise["sigma_1"], noise["first_half"], own["first_half"], noise["tail"], own["tail"])
        cells = [in_digits(column) for column in columns]
        if set(cells) != {"–"}:
            lines.append([variants.SHOWN_LABELS.get(method, method), f"{at:,}", *cells])
    names = ["σ₁ by noise", "first half by noise", "in the runs", "tail by noise", "in the runs"]
    return DataFrame(lines, columns=["", "iteration", *names])


def save_null_picture(curves: DataFrame, runs: Sequence[Evidence], path: Path) -> None:
    """Panels of sigma_1, first half and tail: bands over the persistences, white noise as a line, dots for the runs."""
    records, dots = by_iteration(curves), in_runs(runs)
    with style():
        figure = Figure(figsize=(PAGE_WIDTH, 2.9), layout="constrained")
        panels = figure.subplots(1, len(MEASURES))
        for axis, (measure, title) in zip(panels, MEASURES.items(), strict=True):
            for (color, linestyle, marker), method in zip(SERIES, METHODS, strict=True):
                noise, own = records[records.method == method], dots[dots.method == method]
                if len(noise):
                    over = noise.pivot(index="iteration", columns="persistence", values=measure)
                    low, high, white_noise = over.min(axis=1), over.max(axis=1), over[over.columns.min()]
                    axis.fill_between(over.index, low, high, color=color, alpha=0.13, linewidth=0)
                    label = variants.SHOWN_LABELS.get(method, method)
                    axis.plot(white_noise, color=color, linestyle=linestyle, linewidth=0.9, label=label)
                if measure in own:
                    axis.plot(own.iteration, own[measure], marker, color=color, markersize=2.5, alpha=0.7)
            axis.set_title(title)
            iteration_axis(axis, ticks=4)
        for axis in panels[1:]:
            axis.set_ylim(0, 1.02)
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
        save(figure, path)
