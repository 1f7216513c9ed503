"""Where the runs are that figures need, and which of them are missing."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from reproduce.figures.model import FinishedRun, Gap, finished_run
from reproduce.plan import MINI_DEFAULT, Run, Scale, plan
from reproduce.settings import METHODS, SETTINGS, Method, Setting
from reproduce.sweep_plan import SWEEP_DEFAULT, sweep_plan
from srgan.runs import RunFolder

SHOWCASE = "collapse showcase"
BRANCH_SETTING = "E_2048-64"  # of Section IV-A


class FinishedSweep(NamedTuple):
    """What there is of one setting's sweep.

    Attributes:
        setting: the row of Table I.
        sn: SN, or None.
        static: i / N -> SR-s, those that have finished.
        dynamic: SR-d, or None.
        missing: the others.
    """

    setting: Setting
    sn: FinishedRun | None
    static: dict[float, FinishedRun]
    dynamic: FinishedRun | None
    missing: list[Run]


class Sources:
    """The runs of one scale and seed.

    Args:
        runs: the folder that holds `table2/`, `sweep/`, `resume/` and `collapse/`.
        scale: "mini" or "paper".
        seed: of the runs of Table II and of the sweep.
    """

    def __init__(self, runs: Path, scale: Scale, seed: int = 1) -> None:
        self.runs = runs
        self.scale: Scale = scale
        self.seed = seed
        self._read: dict[Path, FinishedRun | None] = {}

    def table(self, method: Method) -> tuple[list[FinishedRun], list[Run]]:
        """Table II's runs of a method: the finished ones, and those that are expected and missing."""
        expected = MINI_DEFAULT if self.scale == "mini" else [setting.name for setting in SETTINGS]
        every = [setting.name for setting in SETTINGS]
        found, missing = [], []
        for run in plan(self.scale, every, [method], [self.seed], self.runs / "table2" / self.scale):
            finished = self._planned(run)
            if finished:
                found.append(finished)
            elif run.setting.name in expected:
                missing.append(run)
        return found, missing

    def table_gap(self, missing: Sequence[Run]) -> list[Gap]:
        """Says which runs of Table II are not there; nothing if all are."""
        if not missing:
            return []
        names = " ".join(dict.fromkeys(run.setting.name for run in missing))
        methods = " ".join(method for method in METHODS if any(run.method == method for run in missing))
        command = f'make reproduce-table2 SCALE={self.scale} SETTINGS="{names}" METHODS="{methods}" SEEDS={self.seed}'
        return [Gap(f"Missing runs of Table II: {_states(missing)}.", command)]

    def showcase(self, method: str) -> FinishedRun | None:
        """A run of `make reproduce-collapse`: "sn", "sr-s" or "sr-d". It has no part in scale paper."""
        if self.scale == "paper":
            return None
        return self._finished(RunFolder(self.runs / "collapse" / method), SHOWCASE)

    def resumed(self, part: str) -> FinishedRun | None:
        """A run of `make reproduce-resume`: "sn-start", "sn" or "sr-d"."""
        return self._finished(RunFolder(self.runs / "resume" / self.scale / part), BRANCH_SETTING)

    def sweeps(self) -> list[FinishedSweep]:
        """The sweeps that there are or should be."""
        started = {path.name for path in (self.runs / "sweep" / self.scale).glob("*_*") if path.is_dir()}
        names = [row.name for row in SETTINGS if row.name in started | set(SWEEP_DEFAULT[self.scale])]
        found = []
        for sweep in sweep_plan(self.scale, names, [self.seed], self.runs):
            static = {fraction: self._planned(run) for fraction, run in sweep.static.items()}
            found.append(
                FinishedSweep(
                    sweep.setting,
                    self._planned(sweep.sn),
                    {fraction: run for fraction, run in static.items() if run},
                    self._planned(sweep.dynamic),
                    [run for run in sweep.runs if run.state != "finished"],
                )
            )
        return found

    def sweep_gap(self, sweeps: Sequence[FinishedSweep]) -> list[Gap]:
        """Says which runs of the sweeps are not there; nothing if all are."""
        missing = [run for sweep in sweeps for run in sweep.missing]
        if not missing:
            return []
        names = " ".join(sweep.setting.name for sweep in sweeps if sweep.missing)
        command = f'make reproduce-sweep SCALE={self.scale} SETTINGS="{names}" SEEDS={self.seed}'
        return [Gap(f"Missing runs of the sweep: {_states(missing)}.", command)]

    def _planned(self, run: Run) -> FinishedRun | None:
        return self._finished(run.folder, run.setting.name) if run.state == "finished" else None

    def _finished(self, folder: RunFolder, setting: str) -> FinishedRun | None:
        """Read once: spectra of long runs are large."""
        if folder.path not in self._read:
            self._read[folder.path] = finished_run(folder, setting)
        return self._read[folder.path]


def _states(runs: Sequence[Run]) -> str:
    """Names of some runs by their states, e.g. "to do: A_64-128 SN seed 1, ...; cut at iteration 5: ..."."""
    by_state: dict[str, list[str]] = {}
    for run in runs:
        by_state.setdefault(run.state, []).append(run.name)
    return "; ".join(f"{state}: {', '.join(names)}" for state, names in by_state.items())
