"""What figures are made of: pictures, what is said of their runs, and panels of scores."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reproduce.plan.run import BATCH_SIZE, CHANNELS, ITERATIONS, SEED
from reproduce.results.picture import iteration_axis
from srgan.collapse import is_lower_better
from srgan.plotting import SERIES
from srgan.runs.folder import SHOWN_SCORES
from srgan.runs.recorded import RecordedRun, Rows


class Picture(NamedTuple):
    """One file of a figure."""

    name: str  # of the file, without suffix
    figure: Figure
    caption: str
    runs: list[RecordedRun]  # that it is made from, by the setting as their key


def last_layer(run: RecordedRun) -> tuple[np.ndarray, np.ndarray]:
    """Iterations `[T]` and spectra `[T, N]` of the last layer that the paper looks at: no shortcut, not the head."""
    assert run.spectra is not None
    return run.spectra.iterations, list(run.spectra.judged().values())[-1]


def verdicts(run: RecordedRun) -> str:
    """E.g. "MC 4,000, no SC" (the iterations of mode and spectral collapse) or "no collapse"."""
    if not run.collapsed:
        return "no collapse"
    onsets = {"MC": run.collapse_iteration("mode_collapse"), "SC": run.collapse_iteration("spectral_collapse")}
    return ", ".join(f"no {short}" if onset is None else f"{short} {onset:,}" for short, onset in onsets.items())


def sizes(run: RecordedRun) -> str:
    return f"batch {run.settings[BATCH_SIZE]}, CH {run.settings[CHANNELS]}"


def training(run: RecordedRun) -> str:
    """How much was trained, for how long."""
    return f"{sizes(run)}, {int(run.settings[ITERATIONS]):,} iterations, seed {run.settings[SEED]}"


def described(run: RecordedRun) -> str:
    return f"{run.key} {run.label} ({training(run)})"


def title(run: RecordedRun) -> str:
    """Of a panel: sizes, and what happened."""
    return f"{run.key} {run.label}\n{sizes(run)}" + (f"\n{verdicts(run)}" if run.collapsed else "")


def listed(runs: list[RecordedRun]) -> str:
    """E.g. "A_64-128 SN / SR-s (batch 64, CH 128, 50,000 iterations, seed 1); ..."."""
    methods: dict[tuple[str, str], list[str]] = {}
    for run in runs:
        methods.setdefault((run.key, training(run)), []).append(run.label)
    return "; ".join(f"{setting} {' / '.join(names)} ({how})" for (setting, how), names in methods.items())


def present_scores(histories: Iterable[Rows]) -> list[str]:
    """FID, IS and the number of modes, by the names that they have in these rows."""
    present = {name for rows in histories for row in rows for name in row}
    return [score for score in SHOWN_SCORES if score in present]


def score_title(score: str) -> str:
    return f"{score} ({'lower' if is_lower_better(score) else 'higher'} is better)"


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
