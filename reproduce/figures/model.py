"""What figures are made of: finished runs, whose key is their setting, what is said of them, and pictures."""

from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from reproduce.plan.run import BATCH_SIZE, CHANNELS, ITERATIONS, SEED
from reproduce.plan.variants import FRACTION
from srgan.runs.folder import RunFolder
from srgan.runs.recorded import RecordedRun, recorded_run


class Picture(NamedTuple):
    """One file of a figure."""

    name: str  # of the file, without suffix
    figure: Figure
    caption: str
    runs: list[RecordedRun]  # that it is made from


def finished_run(folder: RunFolder, setting: str) -> RecordedRun | None:
    """The run, if it has ended and has recorded spectra."""
    run = recorded_run(folder, setting)
    return run if run and run.record["status"] == "finished" and run.spectra else None


def fraction(run: RecordedRun) -> float | None:
    """i / N of SR-s; None for other methods."""
    found = run.settings.get(FRACTION)
    return None if found is None else float(found)


def last_spectra(run: RecordedRun) -> np.ndarray:
    """`[T, N]` of the last layer that the paper looks at: neither a shortcut nor the linear head."""
    assert run.spectra is not None
    return run.spectra.spectra[list(run.spectra.judged())[-1]]


def spectra_iterations(run: RecordedRun) -> np.ndarray:
    """`[T]`."""
    assert run.spectra is not None
    return run.spectra.iterations


def verdict_words(run: RecordedRun) -> str:
    """E.g. "MC 4,000, no SC" (the iterations of mode and spectral collapse) or "no collapse"."""
    if not run.collapsed:
        return "no collapse"
    onsets = {"MC": run.collapse_iteration("mode_collapse"), "SC": run.collapse_iteration("spectral_collapse")}
    return ", ".join(f"no {short}" if onset is None else f"{short} {onset:,}" for short, onset in onsets.items())


def sizes(run: RecordedRun) -> str:
    """For a panel."""
    return f"batch {run.settings[BATCH_SIZE]}, CH {run.settings[CHANNELS]}"


def training(run: RecordedRun) -> str:
    """For a caption: how much was trained, for how long."""
    return f"{sizes(run)}, {int(run.settings[ITERATIONS]):,} iterations, seed {run.settings[SEED]}"


def described(run: RecordedRun) -> str:
    """For a caption: what was trained."""
    return f"{run.key} {run.label} ({training(run)})"


def title(run: RecordedRun) -> str:
    """For a panel: sizes, and what happened."""
    return f"{run.key} {run.label}\n{sizes(run)}" + (f"\n{verdict_words(run)}" if run.collapsed else "")


def listed(runs: list[RecordedRun]) -> str:
    """For a caption, e.g. "A_64-128 SN / SR-s (batch 64, CH 128, 50,000 iterations, seed 1); ..."."""
    methods: dict[tuple[str, str], list[str]] = {}
    for run in runs:
        methods.setdefault((run.key, training(run)), []).append(run.label)
    return "; ".join(f"{setting} {' / '.join(names)} ({how})" for (setting, how), names in methods.items())
