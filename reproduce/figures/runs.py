"""The runs that figures are drawn from: where they are, which of them are missing, what is said of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.figure import Figure
from pandas import DataFrame

from reproduce.evidence.records import by_iteration
from reproduce.plan import table_runs as plan
from reproduce.plan.run import BATCH_SIZE, CHANNELS, FINISHED, IMAGES, ITERATIONS, SEED, states
from reproduce.plan.settings import METHODS, SETTINGS, Scale
from reproduce.plan.variants import FRACTION, SN, SR_D
from srgan.collapse import is_lower_better
from srgan.runs.folder import SHOWN_SCORES
from srgan.runs.recorded import RecordedRun


class Picture(NamedTuple):
    name: str  # of the file, without suffix
    figure: Figure
    caption: str
    runs: list[RecordedRun]  # that it is made from, by the setting as their key


class FinishedSweep(NamedTuple):
    setting: str
    sn: RecordedRun | None
    static: dict[float, RecordedRun]  # i / N -> SR-s, those that have finished
    dynamic: RecordedRun | None  # SR-d

    @property
    def points(self) -> dict[float, RecordedRun]:
        """i / N -> run; SN, whose forward pass is that of i = 1, stands at 0."""
        return ({0.0: self.sn} if self.sn else {}) | self.static


@dataclass
class Sources:
    """The runs of one scale and seed, in groups: "table2 sn", "table2 sr", "sweep", "resume", "collapse"."""

    runs: Path  # the folder that holds `table2/`, `sweep/`, `resume/` and `collapse/`
    scale: Scale
    seed: int = 1  # of the runs of Table II and of the sweep
    overrides: Mapping[str, Any] = field(default_factory=dict)  # settings with which they all were made
    _read: dict[Path, RecordedRun] = field(default_factory=dict)

    @cached_property
    def groups(self) -> dict[str, Sequence[plan.TableRun]]:
        """All runs that there may be; those of "collapse" are SR-d's, on from SN's of the table, at scale small."""
        rows, seeds, scale = [setting.name for setting in SETTINGS], [self.seed], self.scale
        table = plan.table_runs(scale, rows, METHODS, seeds, self.runs / "table2" / scale, self.overrides)
        started = {path.parent.parent.name for path in (self.runs / "sweep" / scale).glob("*/*/run.json")}
        swept = [row for row in rows if row in started | set(plan.SWEEP_DEFAULT[scale])]
        small = plan.collapse_runs([row for row in rows if row[0] == "C"], seeds, self.runs, self.overrides)
        return {
            "table2 sn": [run for run in table if run.method == "sn"],
            "table2 sr": [run for run in table if run.method == "sr"],
            "sweep": plan.sweep_runs(scale, swept, seeds, self.runs, self.overrides),
            "resume": [] if scale == "small" else plan.resume_runs(scale, self.runs / "resume" / scale),
            "collapse": [run for run in small if scale == "small" and run.after and run.label == SR_D.label],
        }

    def finished(self, group: str) -> list[RecordedRun]:
        """Runs that have ended with the settings of their experiment and have recorded spectra, read once."""
        done = [run for run in self.groups[group] if run.state == FINISHED]
        for run in done:
            found = RecordedRun(run.folder, run.folder.read_record() or {}, run.setting.name)
            self._read.setdefault(run.folder.path, found)
        return [found for run in done if (found := self._read[run.folder.path]).spectra]

    def collapsed_under_sn(self) -> list[RecordedRun]:
        return [run for run in self.finished("table2 sn") if run.collapsed]

    def sweeps(self) -> list[FinishedSweep]:
        found = []
        for setting, members in groupby(self.finished("sweep"), key=lambda run: run.key):
            runs = list(members)
            static = {float(run.settings[FRACTION]): run for run in runs if FRACTION in run.settings}
            others = {run.label: run for run in runs if FRACTION not in run.settings}
            found.append(FinishedSweep(setting, others.get(SN.label), static, others.get(SR_D.label)))
        return found

    def gap(self, group: str) -> str | None:
        """Which runs of a group are not there, and the command that makes them; None if all are that are expected."""
        experiment, _, method = group.partition(" ")
        missing = [run for run in self.groups[group] if run.state != FINISHED]
        if experiment in ("table2", "collapse"):
            missing = [run for run in missing if run.setting.name in plan.default_settings(self.scale)]
        if not missing:
            return None
        command = f"make reproduce-{experiment}" + (f" SCALE={self.scale}" if experiment != "collapse" else "")
        if experiment != "resume":
            command += f' SETTINGS="{" ".join(dict.fromkeys(run.setting.name for run in missing))}"'
            command += (f" METHODS={method}" if method else "") + f" SEEDS={self.seed}"
        command += f' IMAGES="{self.overrides[IMAGES]}"' if IMAGES in self.overrides else ""
        return f"Missing runs of {experiment}: {states(missing)}. `{command}`"


def last_layer(run: RecordedRun) -> DataFrame:
    """Spectra `[T, N]`, by iterations, of the last layer that the paper looks at: no shortcut, not the head."""
    assert run.spectra is not None
    return DataFrame(list(run.spectra.judged().values())[-1], run.spectra.iterations)


def evaluations(run: RecordedRun) -> DataFrame:
    return by_iteration(run.scores)


def verdicts(run: RecordedRun) -> str:
    """E.g. "MC 4,000, no SC" (the iterations of mode and spectral collapse) or "no collapse"."""
    if not run.collapsed:
        return "no collapse"
    onsets = {"MC": run.collapse_iteration("mode_collapse"), "SC": run.collapse_iteration("spectral_collapse")}
    return ", ".join(f"no {short}" if onset is None else f"{short} {onset:,}" for short, onset in onsets.items())


def sizes(run: RecordedRun) -> str:
    return f"batch {run.settings[BATCH_SIZE]}, CH {run.settings[CHANNELS]}"


def listed(runs: Sequence[RecordedRun]) -> str:
    """E.g. "A_64-128 SN / SR-s (batch 64, CH 128, 50,000 iterations, seed 1); ..."."""
    methods: dict[tuple[str, str], list[str]] = {}
    for run in runs:
        training = f"{sizes(run)}, {int(run.settings[ITERATIONS]):,} iterations, seed {run.settings[SEED]}"
        methods.setdefault((run.key, training), []).append(run.label)
    return "; ".join(f"{setting} {' / '.join(names)} ({how})" for (setting, how), names in methods.items())


def present_scores(runs: Iterable[RecordedRun]) -> list[str]:
    """FID, IS and the number of modes, by the names that they have in the evaluations of these runs."""
    present = {name for run in runs for row in run.scores for name in row}
    return [score for score in SHOWN_SCORES if score in present]


def score_title(score: str) -> str:
    return f"{score} ({'lower' if is_lower_better(score) else 'higher'} is better)"
