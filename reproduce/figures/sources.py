"""Where the runs are that figures need, and which of them are missing."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from reproduce.experiments.collapse import collapse_runs
from reproduce.experiments.resume import resume_runs
from reproduce.experiments.sweep import SWEEP_DEFAULT, sweep_runs
from reproduce.plan.run import FINISHED, IMAGES, Scale, states
from reproduce.plan.settings import METHODS, SETTINGS
from reproduce.plan.table_runs import TableRun, default_settings, table_runs
from reproduce.plan.variants import FRACTION, SN, SR_D
from srgan.runs.recorded import RecordedRun, recorded_run


class FinishedSweep(NamedTuple):
    """What there is of one setting's sweep."""

    setting: str
    sn: RecordedRun | None
    static: dict[float, RecordedRun]  # i / N -> SR-s, those that have finished
    dynamic: RecordedRun | None  # SR-d


class Gap(NamedTuple):
    """What cannot be drawn, and the command that makes the runs; "" if there is none."""

    reason: str
    command: str


class Sources:
    """The runs of one scale and seed, in groups: "table2 sn", "table2 sr", "sweep", "resume", "collapse".

    Args:
        runs: the folder that holds `table2/`, `sweep/`, `resume/` and `collapse/`.
        scale: "mini", "small" or "paper".
        seed: of the runs of Table II and of the sweep.
        overrides: settings with which they all were made.
    """

    def __init__(self, runs: Path, scale: Scale, seed: int = 1, overrides: Mapping[str, Any] | None = None) -> None:
        self.runs = runs
        self.scale: Scale = scale
        self.seed = seed
        self.overrides = overrides or {}
        self._read: dict[Path, RecordedRun | None] = {}

    @cached_property
    def groups(self) -> dict[str, Sequence[TableRun]]:
        """All runs that there may be; those of "collapse" are SR-d's, on from SN's of the table, at scale small."""
        rows, seeds, scale = [setting.name for setting in SETTINGS], [self.seed], self.scale
        table = table_runs(scale, rows, METHODS, seeds, self.runs / "table2" / scale, self.overrides)
        started = {path.parent.parent.name for path in (self.runs / "sweep" / scale).glob("*/*/run.json")}
        swept = [row for row in rows if row in started | set(SWEEP_DEFAULT[scale])]
        small = collapse_runs([row for row in rows if row[0] == "C"], seeds, self.runs, self.overrides)
        return {
            "table2 sn": [run for run in table if run.method == "sn"],
            "table2 sr": [run for run in table if run.method == "sr"],
            "sweep": sweep_runs(scale, swept, seeds, self.runs, self.overrides),
            "resume": [] if scale == "small" else resume_runs(scale, self.runs / "resume" / scale),
            "collapse": [run for run in small if scale == "small" and run.after and run.label == SR_D.label],
        }

    def finished(self, group: str) -> list[RecordedRun]:
        """Runs that have ended with the settings of their experiment and have recorded spectra."""
        return [found for run in self.groups[group] if run.state == FINISHED and (found := self._recorded(run))]

    def _recorded(self, run: TableRun) -> RecordedRun | None:
        """Read once: spectra of long runs are large."""
        path = run.folder.path
        if path not in self._read:
            found = recorded_run(run.folder, run.setting.name)
            self._read[path] = found if found and found.record["status"] == "finished" and found.spectra else None
        return self._read[path]

    def collapsed_under_sn(self) -> list[RecordedRun]:
        """SN's runs of Table II that collapsed."""
        return [run for run in self.finished("table2 sn") if run.collapsed]

    def sweeps(self) -> list[FinishedSweep]:
        """What there is of each setting's sweep."""
        by_setting: dict[str, list[RecordedRun]] = {}
        for run in self.finished("sweep"):
            by_setting.setdefault(run.key, []).append(run)
        found = []
        for setting, runs in by_setting.items():
            static = {float(run.settings[FRACTION]): run for run in runs if FRACTION in run.settings}
            others = {run.label: run for run in runs if FRACTION not in run.settings}
            found.append(FinishedSweep(setting, others.get(SN.label), static, others.get(SR_D.label)))
        return found

    def gap(self, group: str) -> Gap | None:
        """Which runs of a group are not there and how to make them; None if all are that are expected."""
        experiment, _, method = group.partition(" ")
        missing = [run for run in self.groups[group] if run.state != FINISHED]
        if experiment in ("table2", "collapse"):
            missing = [run for run in missing if run.setting.name in default_settings(self.scale)]
        if not missing:
            return None
        command = f"make reproduce-{experiment}" + (f" SCALE={self.scale}" if experiment != "collapse" else "")
        if experiment != "resume":
            command += f' SETTINGS="{" ".join(dict.fromkeys(run.setting.name for run in missing))}"'
            command += (f" METHODS={method}" if method else "") + f" SEEDS={self.seed}"
        command += f' IMAGES="{self.overrides[IMAGES]}"' if IMAGES in self.overrides else ""
        return Gap(f"Missing runs of {experiment}: {states(missing)}.", command)
