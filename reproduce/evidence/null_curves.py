"""What the null model gives, beside what the runs give: its file, table and picture. No torch in here."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas import DataFrame

from reproduce.evidence.records import BASELINE, Evidence
from reproduce.plan import variants
from reproduce.plan.run import EVIDENCE
from reproduce.plan.settings import SETTINGS
from reproduce.plan.table_runs import SMALL_WIDTHS
from srgan.plotting import PAGE_WIDTH, SERIES, SeriesStyle, save, style
from srgan.utils.files import write_text

UNIT_SR_D, KEPT_SR_S = variants.UNIT_SR_D.label, variants.KEPT_SR_S.label
AFTER_SN = (variants.SR_D.label, variants.SR_S_AFTER_SN.label, UNIT_SR_D, KEPT_SR_S)
"""They project from `BRANCH` on, as in the runs; the others from the start."""
METHODS = (BASELINE, "SR-s", *AFTER_SN[:2], variants.SCALE_CONTROL.label, *AFTER_SN[2:])
SHOWN_ITERATIONS = (100, 1_000, variants.BRANCH + 500, 10_000)
MEASURES = {
    "sigma_1": r"$\sigma_1$",
    "first_half": r"mean of $\sigma_k / \sigma_1$, k ≤ N/2",
    "tail": r"mean of $\sigma_k / \sigma_1$, k > N/4",
}
"""What is recorded -> the title of its panel."""
COMMITTED = EVIDENCE / "null_model.json"


@dataclass(frozen=True)
class NullCurve:
    """Means over independent matrices of one shape under one projection."""

    method: str  # of METHODS
    persistence: float  # correlation of the noise from one step to the next; 0: white
    shape: list[int]  # of the weight, `[out, in, k, k]`
    matrices: int  # how many
    iteration: list[int]  # of each record
    sigma_1: list[float]  # of the raw matrix, at each record
    first_half: list[float]  # mean of sigma_k / sigma_1 over k <= N / 2
    tail: list[float]  # the same over k > N / 4

    @property
    def start(self) -> int:
        """The iteration after which the method differs from SN."""
        return variants.BRANCH if self.method in AFTER_SN else 0

    def at(self, measure: str, iteration: int) -> float | None:
        """A value of a measure; None where nothing was recorded, or before the projection begins."""
        if iteration not in self.iteration or iteration <= self.start:
            return None
        value: float = getattr(self, measure)[self.iteration.index(iteration)]
        return value


def write_curves(path: Path, curves: Iterable[NullCurve]) -> None:
    """One line for each curve."""
    lines = ",\n".join(json.dumps(asdict(curve)) for curve in curves)
    write_text(path, f"[\n{lines}\n]\n")


def read_curves(path: Path) -> list[NullCurve]:
    """What there is; [] without the file."""
    return [NullCurve(**curve) for curve in json.loads(path.read_text())] if path.exists() else []


@cache
def noise_of(setting: str) -> tuple[NullCurve, ...]:
    """The committed null model of a row of Table I at scale small; nothing where D has another width."""
    widths = {row.name: row.discriminator_channels // SMALL_WIDTHS for row in SETTINGS}
    return tuple(curve for curve in read_curves(COMMITTED) if curve.shape[0] == widths.get(setting))


def white(curves: Iterable[NullCurve]) -> dict[str, NullCurve]:
    """Method -> its curve of the least persistent noise, which has no parameter to choose."""
    found: dict[str, NullCurve] = {}
    for curve in sorted(curves, key=lambda curve: -curve.persistence):
        found[curve.method] = curve
    return found


def null_range(curves: Iterable[NullCurve], method: str, measure: str, iteration: int) -> tuple[float, float] | None:
    """The smallest and largest value over the persistences of the noise; None without one."""
    values = [curve.at(measure, iteration) for curve in curves if curve.method == method]
    known = [value for value in values if value is not None]
    return (min(known), max(known)) if known else None


def null_table(curves: Sequence[NullCurve], runs: Sequence[Evidence]) -> DataFrame:
    """A line for each method and iteration: the null model, and beside it the runs of a setting.

    From the smallest to the largest over persistences and over seeds.
    """
    lines = []
    for method in METHODS:
        own = [run for run in runs if run.method == method]
        for iteration in SHOWN_ITERATIONS:
            cells = [_words(null_range(curves, method, "sigma_1", iteration))]
            for measure in ("first_half", "tail"):
                values = _values_of(own, measure, iteration)
                cells.append(_words(null_range(curves, method, measure, iteration)))
                cells.append(_words((min(values), max(values)) if values else None))
            if set(cells) != {"–"}:
                lines.append([method, f"{iteration:,}", *cells])
    columns = ["σ₁ by noise", "first half by noise", "in the runs", "tail by noise", "in the runs"]
    return DataFrame(lines, columns=["", "iteration", *columns])


def save_null_picture(curves: Sequence[NullCurve], runs: Sequence[Evidence], path: Path) -> None:
    """Panels of sigma_1, first half and tail: bands over the persistences, white noise as a line, dots for the runs."""
    with style():
        figure = Figure(figsize=(PAGE_WIDTH, 2.9), layout="constrained")
        panels = figure.subplots(1, len(MEASURES))
        for axis, (measure, title) in zip(panels, MEASURES.items(), strict=True):
            for look, method in zip(SERIES, METHODS, strict=True):
                _draw(axis, measure, [curve for curve in curves if curve.method == method], look)
                own = [run for run in runs if run.method == method]
                dots = [(at, value) for at in SHOWN_ITERATIONS for value in _values_of(own, measure, at)]
                for at, value in dots:
                    axis.plot(at, value, look.marker, color=look.color, markersize=2.5, alpha=0.7)
            axis.set_title(title)
            axis.set_xlabel("iteration")
            axis.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
            axis.locator_params(axis="x", nbins=4)
        for axis in panels[1:]:
            axis.set_ylim(0, 1.02)
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
        save(figure, path)


def _draw(axis: Axes, measure: str, curves: Sequence[NullCurve], look: SeriesStyle) -> None:
    """The curves of one method."""
    if not curves:
        return
    begun = [place for place, at in enumerate(curves[0].iteration) if curves[0].at(measure, at) is not None]
    iterations = np.array(curves[0].iteration)[begun]
    values = np.array([getattr(curve, measure) for curve in curves])[:, begun]
    ((method, least),) = white(curves).items()
    line = np.array(getattr(least, measure))[begun]
    axis.fill_between(iterations, values.min(0), values.max(0), color=look.color, alpha=0.13, linewidth=0)
    axis.plot(iterations, line, color=look.color, linestyle=look.linestyle, linewidth=0.9, label=method)


def _values_of(runs: Iterable[Evidence], measure: str, iteration: int) -> list[float]:
    """Of the runs that were recorded then, under their own method. The evidence has no sigma_1 of each layer."""
    found = []
    for run in runs:
        if measure == "sigma_1" or (run.branch and iteration <= run.branch):
            continue
        columns, values = (run.held, run.mean_held) if measure == "first_half" else (run.tails, run.mean_tail)
        if iteration in columns["iteration"]:
            found.append(float(values[columns["iteration"].index(iteration)]))
    return found


def _words(found: tuple[float, float] | None) -> str:
    if found is None:
        return "–"
    low, high = (f"{value:.2f}" for value in found)
    return low if low == high else f"{low} to {high}"
