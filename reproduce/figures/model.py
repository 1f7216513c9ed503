"""What the figures are made of: a finished run, and a picture with its caption."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from reproduce.plan.run import BATCH_SIZE, CHANNELS, FRACTION, ITERATIONS, SEED
from srgan.runs.folder import OutputsHistory, RunFolder, SpectraHistory, flatten_settings


@dataclass(frozen=True, eq=False)
class FinishedRun:
    """A run that has ended, and what figures ask of it.

    Attributes:
        folder: its files.
        setting: for people, e.g. "B_128-64".
        spectra: recorded at one iteration at least.
    """

    folder: RunFolder
    setting: str
    spectra: SpectraHistory

    @cached_property
    def record(self) -> dict[str, Any]:
        return self.folder.read_record() or {}

    @cached_property
    def config(self) -> dict[str, Any]:
        """Its settings by dotted names."""
        return flatten_settings(self.record["config"])

    @cached_property
    def scores(self) -> list[dict[str, Any]]:
        return self.folder.read_scores()

    @cached_property
    def outputs(self) -> OutputsHistory | None:
        return self.folder.read_outputs()

    @property
    def method(self) -> str:
        """The constraint's label: SN, SR-s (with i where it is not 0.5 N), SR-d."""
        label: str = self.record["constraint"]["label"]
        return label

    @property
    def name(self) -> str:
        return f"{self.setting} {self.method}"

    @property
    def slug(self) -> str:
        """For a file's name."""
        return self.setting.replace(" ", "-")

    @property
    def title(self) -> str:
        """For a panel: sizes, and what happened."""
        sizes = f"batch {self.batch_size}, CH {self.channels}"
        return f"{self.name}\n{sizes}" + (f"\n{self.verdict_words}" if self.collapsed else "")

    @property
    def verdict_words(self) -> str:
        """E.g. "MC 4,000, no SC" (the iterations of mode and spectral collapse) or "no collapse"."""
        if not self.collapsed:
            return "no collapse"
        onsets = {"MC": self.collapse_iteration("mode_collapse"), "SC": self.collapse_iteration("spectral_collapse")}
        return ", ".join(f"no {short}" if onset is None else f"{short} {onset:,}" for short, onset in onsets.items())

    @property
    def sizes(self) -> str:
        """For a caption: how much was trained, for how long."""
        iterations, seed = self.config[ITERATIONS], self.config[SEED]
        return f"batch {self.batch_size}, CH {self.channels}, {int(iterations):,} iterations, seed {seed}"

    @property
    def words(self) -> str:
        """For a caption: what was trained."""
        return f"{self.name} ({self.sizes})"

    @property
    def batch_size(self) -> int:
        return int(self.config[BATCH_SIZE])

    @property
    def channels(self) -> int:
        return int(self.config[CHANNELS])

    @property
    def fraction(self) -> float | None:
        """i / N of SR-s; None for other methods."""
        found = self.config.get(FRACTION)
        return None if found is None else float(found)

    @property
    def last_convolution(self) -> str:
        """The last layer that the paper looks at: neither a shortcut nor the linear head."""
        return list(self.spectra.judged())[-1]

    @property
    def last_spectra(self) -> np.ndarray:
        """`[T, N]` of the last convolution."""
        return self.spectra.spectra[self.last_convolution]

    def collapse_iteration(self, verdict: str) -> int | None:
        """Of "mode_collapse" or "spectral_collapse"; None if there was none, or no verdict for want of scores."""
        found = (self.record.get("verdicts") or {}).get(verdict) or {}
        iteration: int | None = found.get("iteration")
        return iteration

    @property
    def collapsed(self) -> bool:
        """By mode or by spectrum."""
        return any(self.collapse_iteration(kind) is not None for kind in ("mode_collapse", "spectral_collapse"))


class Picture(NamedTuple):
    """One file of a figure.

    Attributes:
        name: of the file, without suffix.
        figure: what is drawn.
        caption: what it shows, of which runs.
        runs: that it is made from.
    """

    name: str
    figure: Figure
    caption: str
    runs: list[FinishedRun]


def finished_run(folder: RunFolder, setting: str) -> FinishedRun | None:
    """The run, if it has ended and has recorded spectra."""
    record = folder.read_record()
    if record is None or record["status"] != "finished":
        return None
    history = folder.read_spectra()
    return FinishedRun(folder, setting, history) if history is not None and len(history.iterations) else None
