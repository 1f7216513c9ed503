"""Which of the recorded signals announces a mode collapse? Thresholds from some seeds, judged on the others.

A signal has none if, on the seeds that choose, no threshold of it hits more often than it gives false alarms.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from reproduce.evidence.records import EARLY, Evidence, over_largest_so_far
from srgan.collapse import running_median

CHOOSING = (1, 2)
"""Seeds on which a threshold is chosen; all others judge it."""
RECORDS = 5
"""Records whose running median a noisy signal is."""

Signal = tuple[list[float], np.ndarray]  # iterations, values [T]


def _tail(run: Evidence) -> Signal:
    return run.tails["iteration"], over_largest_so_far(run.mean_tail)


def _first_half(run: Evidence) -> Signal:
    return run.held["iteration"], over_largest_so_far(run.mean_held)


def _gradient(run: Evidence) -> Signal:
    norms = running_median(np.array(run.signals["gradient"]), RECORDS)
    return run.signals["iteration"], norms / run.early("gradient")


def _undecided(run: Evidence) -> Signal:
    return run.signals["iteration"], running_median(np.abs(2 - np.array(run.signals["loss"])), RECORDS)


SHARES = np.arange(0.05, 1.0, 0.05)
SIGNALS: Mapping[str, tuple[Callable[[Evidence], Signal], np.ndarray]] = {
    "first half of the spectra, over its largest so far": (_first_half, SHARES),
    "tail of the spectra, over its largest so far": (_tail, SHARES),
    "D's gradient norm, over that of the first tenth": (_gradient, SHARES),
    "distance of D's loss from 2": (_undecided, np.geomspace(0.001, 0.5, 19)),
}
"""What may warn -> the signal, which warns below a threshold, and thresholds to choose from."""


@dataclass(frozen=True)
class Warnings:
    """What a threshold does on some runs.

    Attributes:
        leads: iterations from the warning to the mode collapse, of the collapsing runs that were warned of before.
        missed: collapsing runs without a warning before it.
        false: runs with a warning and no collapse.
        quiet: runs with neither.
    """

    leads: tuple[int, ...]
    missed: int
    false: int
    quiet: int

    @property
    def worth(self) -> float:
        """Hit rate less false-alarm rate (Youden's J): 0 for warnings that know nothing."""
        hits, runs = len(self.leads), self.false + self.quiet
        return hits / max(1, hits + self.missed) - self.false / max(1, runs)

    @property
    def words(self) -> str:
        hits = len(self.leads)
        lead = f", {np.median(self.leads):,.0f} iterations ahead (median)" if hits else ""
        return f"{hits} of {hits + self.missed}{lead}; false alarms in {self.false} of {self.false + self.quiet}"


def warnings_of(runs: Iterable[tuple[Evidence, Signal]], threshold: float) -> Warnings:
    """Of a signal, given for each run, that falls below a threshold after the run's beginning."""
    leads, missed, false, quiet = [], 0, 0, 0
    for run, (iterations, values) in runs:
        begun = np.array(iterations) > max(EARLY * run.iterations, run.branch or 0)
        below = np.flatnonzero(begun & (values < threshold))
        warned = int(iterations[below[0]]) if len(below) else None
        if run.mode_collapse is None:
            false, quiet = (false + 1, quiet) if warned is not None else (false, quiet + 1)
        elif warned is not None and warned < run.mode_collapse:
            leads.append(run.mode_collapse - warned)
        else:
            missed += 1
    return Warnings(tuple(leads), missed, false, quiet)


def warning_table(runs: Sequence[Evidence]) -> tuple[list[str], list[list[str]]]:
    """Header and a line for each signal: the threshold of the largest worth, and what it does on both halves.

    Of runs with their past (`with_their_past`).
    """
    lines = []
    for name, (signal, thresholds) in SIGNALS.items():
        choosing = [(run, signal(run)) for run in runs if run.seed in CHOOSING]
        judging = [(run, signal(run)) for run in runs if run.seed not in CHOOSING]
        tried = {threshold: warnings_of(choosing, threshold) for threshold in thresholds}
        chosen, seen = max(tried.items(), key=lambda one: one[1].worth)
        if seen.worth > 0:
            lines.append([name, f"{chosen:.2g}", seen.words, warnings_of(judging, chosen).words])
        else:
            lines.append([name, "none", "–", "–"])
    chosen_on = f"seeds {' and '.join(map(str, CHOOSING))}, on which it was chosen"
    return ["warns below", "threshold", chosen_on, "other seeds"], lines
