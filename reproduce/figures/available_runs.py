"""Where the runs are that figures need, and which of them are missing."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from reproduce.experiments.collapse import collapse_runs
from reproduce.experiments.resume import SETTING, resume_runs
from reproduce.experiments.sweep import SWEEP_DEFAULT, sweep_runs
from reproduce.figures.model import finished_run, fraction
from reproduce.plan.run import FINISHED, IMAGES, Run, Scale, states
from reproduce.plan.settings import SETTINGS, Method, Setting
from reproduce.plan.table_runs import TableRun, default_settings, table_runs
from reproduce.plan.variants import SN, SR_D, SR_D_AFTER_SN
from srgan.runs.recorded import RecordedRun


class FinishedSweep(NamedTuple):
    """What there is of one setting's sweep."""

    setting: Setting  # the row of Table I
    sn: RecordedRun | None  # SN, or None
    static: dict[float, RecordedRun]  # i / N -> SR-s, those that have finished
    dynamic: RecordedRun | None  # SR-d, or None


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
    def groups(self) -> dict[str, Sequence[Run]]:
        """All runs that there may be; those of "collapse" are SR-d's, on from SN's of the table, at scale small."""
        started = {path.parent.parent.name for path in (self.runs / "sweep" / self.scale).glob("*/*/run.json")}
        swept = [row.name for row in SETTINGS if row.name in started | set(SWEEP_DEFAULT[self.scale])]
        return {
            "table2 sn": self._table("sn"),
            "table2 sr": self._table("sr"),
            "sweep": sweep_runs(self.scale, swept, [self.seed], self.runs, self.overrides),
            "resume": [] if self.scale == "small" else resume_runs(self.scale, self.runs / "resume" / self.scale),
            "collapse": self._collapse() if self.scale == "small" else [],
        }

    def _collapse(self) -> list[TableRun]:
        group = [setting.name for setting in SETTINGS if setting.name.startswith("C_")]
        runs = collapse_runs(group, [self.seed], self.runs, self.overrides)
        return [run for run in runs if run.label == SR_D_AFTER_SN.label and run.after]

    def _table(self, method: Method) -> list[TableRun]:
        every = [setting.name for setting in SETTINGS]
        root = self.runs / "table2" / self.scale
        return table_runs(self.scale, every, [method], [self.seed], root, self.overrides)

    def finished(self, group: str) -> list[RecordedRun]:
        """Runs that have ended with the settings of their experiment."""
        return [found for run in self.groups[group] if run.state == FINISHED and (found := self._finished(run))]

    def part_of_resume(self, folder: str) -> RecordedRun | None:
        """The run of "resume" with a folder of this name."""
        return next((run for run in self.finished("resume") if run.folder.path.name == folder), None)

    def collapsed_under_sn(self) -> list[RecordedRun]:
        """SN's runs of Table II that collapsed."""
        return [run for run in self.finished("table2 sn") if run.collapsed]

    def sweeps(self) -> list[FinishedSweep]:
        """What there is of each setting's sweep."""
        found = []
        members = self.finished("sweep")
        for setting in SETTINGS:
            own = [run for run in members if run.key == setting.name]
            static = {share: run for run in own if (share := fraction(run)) is not None}
            others = {run.label: run for run in own if fraction(run) is None}
            if own:
                found.append(FinishedSweep(setting, others.get(SN.label), static, others.get(SR_D.label)))
        return found

    def gap(self, group: str) -> Gap | None:
        """Which runs of a group are not there and how to make them; None if all are that are expected."""
        expected, runs = default_settings(self.scale), self.groups[group]
        experiment, _, method = group.partition(" ")
        missing = [run for run in runs if run.state != FINISHED]
        if experiment in ("table2", "collapse"):
            missing = [run for run in missing if isinstance(run, TableRun) and run.setting.name in expected]
        if not missing:
            return None
        command = f"make reproduce-{experiment}" + (f" SCALE={self.scale}" if experiment != "collapse" else "")
        rows = dict.fromkeys(run.setting.name for run in missing if isinstance(run, TableRun))
        if experiment in ("table2", "sweep", "collapse"):
            command += (
                f' SETTINGS="{" ".join(rows)}"' + (f" METHODS={method}" if method else "") + f" SEEDS={self.seed}"
            )
        command += f' IMAGES="{self.overrides[IMAGES]}"' if IMAGES in self.overrides else ""
        return Gap(f"Missing runs of {experiment}: {states(missing)}.", command)

    def _finished(self, run: Run) -> RecordedRun | None:
        """Read once: spectra of long runs are large."""
        path = run.folder.path
        if path not in self._read:
            parts = path.relative_to(self.runs).parts
            self._read[path] = finished_run(run.folder, SETTING if parts[0] == "resume" else parts[-2])
        return self._read[path]
