"""Scores of runs over iterations, as several figures show them."""

from collections.abc import Iterable, Mapping, Sequence

from matplotlib.axes import Axes

from srgan.collapse import is_lower_better
from srgan.plotting import SERIES
from srgan.runs.folder import SHOWN_SCORES
from srgan.runs.recorded import Rows


def present_scores(histories: Iterable[Rows]) -> list[str]:
    """FID, IS and the number of modes, by the names that they have in these rows."""
    present = {name for rows in histories for row in rows for name in row}
    return [score for score in SHOWN_SCORES if score in present]


def score_panels(axes: Sequence[Axes], histories: Mapping[str, Rows]) -> None:
    """A curve for each run, a panel for each of `present_scores`."""
    for axis, score in zip(axes, present_scores(histories.values()), strict=True):
        for own, (name, rows) in zip(SERIES, histories.items(), strict=False):
            found = [row for row in rows if score in row]
            axis.plot([row["iteration"] for row in found], [row[score] for row in found], **own._asdict(), label=name)
        axis.set_title(score_title(score))
        axis.set_ylim(0, 1.12 * axis.dataLim.ymax)
        iteration_axis(axis)
    axes[0].legend()


def iteration_axis(axis: Axes) -> None:
    """Labels x."""
    axis.set_xlabel("iteration")
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axis.locator_params(axis="x", nbins=5)


def score_title(score: str) -> str:
    """With the direction that is better."""
    return f"{score} ({'lower' if is_lower_better(score) else 'higher'} is better)"
