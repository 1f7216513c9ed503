"""The one reader of a run: its files, read once each, and what they say of its collapse. No torch in here."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from srgan.collapse import CollapseThresholds, Row, is_lower_better, mode_collapse, spectral_collapse
from srgan.runs.folder import OutputsHistory, RunFolder, SpectraHistory, flatten_settings

Rows = Sequence[Mapping[str, Any]]
VERDICTS = ("mode_collapse", "spectral_collapse")


@dataclass(frozen=True, eq=False)
class RecordedRun:
    """A run as its folder holds it, finished or not. A damaged file raises ValueError when it is first asked for.

    Attributes:
        folder: its files.
        record: the content of its run.json.
        key: what names it among others, e.g. its path below the folder that is reported on.
    """

    folder: RunFolder
    record: Mapping[str, Any]
    key: str

    @property
    def name(self) -> str:
        return PurePosixPath(self.key).name

    @property
    def label(self) -> str:
        """Method: what the run was called when it started (`srgan fit --label`), else its constraint's label."""
        label = self.record.get("label") or self.record["constraint"]["label"]
        if not isinstance(label, str):
            raise ValueError(f"expected the label of a run to be a text, found {label!r}")
        return label

    @cached_property
    def settings(self) -> dict[str, Any]:
        """All settings by their dotted names."""
        return flatten_settings(self.record["config"])

    @cached_property
    def scores(self) -> Rows:
        return self.folder.read_scores()

    @cached_property
    def losses(self) -> Rows:
        return self.folder.read_losses()

    @cached_property
    def gradients(self) -> Rows:
        return self.folder.read_gradients()

    @cached_property
    def warnings(self) -> Rows:
        return self.folder.read_warnings()

    @cached_property
    def spectra(self) -> SpectraHistory | None:
        """None where none were recorded."""
        history = self.folder.read_spectra()
        return history if history is not None and len(history.iterations) else None

    @cached_property
    def outputs(self) -> OutputsHistory | None:
        """None where none were recorded."""
        history = self.folder.read_outputs()
        return history if history is not None and len(history.iterations) else None

    @cached_property
    def final(self) -> Mapping[str, Any]:
        """The "iteration", "protocol" and "scores" of the final evaluation; empty where there was none."""
        return self.folder.read_final() or {}

    @cached_property
    def final_scores(self) -> dict[str, float]:
        """Of the final evaluation, those that are one number."""
        return {name: value for name, value in self.final.get("scores", {}).items() if is_number(value)}

    @property
    def branch(self) -> int | None:
        """Iteration of another run's checkpoint that this one started from; None for a fresh start."""
        parent = self.record.get("parent")
        return int(parent["iteration"]) if parent else None

    @property
    def last_iteration(self) -> int:
        """Of anything that was recorded over time; 1 for nothing."""
        rows = [int(row["iteration"]) for rows in (self.scores, self.losses, self.gradients) for row in rows[-1:]]
        records = [int(history.iterations[-1]) for history in (self.spectra, self.outputs) if history is not None]
        return max([1, *rows, *records])

    @property
    def thresholds(self) -> CollapseThresholds:
        """Those of the verdicts, else those of the settings, else the defaults."""
        stored = (self.record.get("verdicts") or {}).get("thresholds") or self.record["config"].get("verdicts") or {}
        known = {field.name for field in fields(CollapseThresholds)}
        return CollapseThresholds(**{key: value for key, value in stored.items() if key in known})

    @cached_property
    def verdicts(self) -> dict[str, Mapping[str, Any] | None]:
        """Of VERDICTS -> "collapsed" and "iteration": those of run.json, else by the files so far; None for neither."""
        stored = self.record.get("verdicts")
        found = verdicts_of(self.scores, self.spectra, self.thresholds) if stored is None else stored
        return {kind: found.get(kind) for kind in VERDICTS}

    def collapse_iteration(self, verdict: str) -> int | None:
        """Iteration of a collapse of VERDICTS; None if there was none, or nothing to judge it by."""
        iteration: int | None = (self.verdicts[verdict] or {}).get("iteration")
        return iteration

    @property
    def collapsed(self) -> bool:
        """By mode or by spectrum."""
        return any(self.collapse_iteration(kind) is not None for kind in VERDICTS)

    @property
    def required(self) -> list[int]:
        """Iterations that no thinning out may drop: of verdicts and evaluations."""
        found = [verdict["iteration"] for verdict in self.verdicts.values() if verdict and verdict["collapsed"]]
        return found + [int(row["iteration"]) for row in self.scores]

    @cached_property
    def best(self) -> dict[str, Any] | None:
        """The "iteration", "score" and "value" of the lowest FID, else of the highest IS; None without either."""
        for prefix in ("FID", "IS"):
            name = next((name for name in number_names(self.scores) if name.startswith(prefix)), None)
            rows = [row for row in self.scores if name and is_number(row.get(name))]
            if name and rows:
                row = (min if is_lower_better(name) else max)(rows, key=lambda row: float(row[name]))
                return {"iteration": row["iteration"], "score": name, "value": row[name]}
        return None


def recorded_run(path: Path | RunFolder, key: str | None = None) -> RecordedRun | None:
    """The run in a folder; None where nothing has begun.

    Args:
        path: of the folder.
        key: what to call it; None: the folder's name.

    Raises:
        ValueError: its run.json is damaged.
    """
    folder = path if isinstance(path, RunFolder) else RunFolder(path)
    record = folder.read_record()
    return None if record is None else RecordedRun(folder, record, folder.path.name if key is None else key)


def number_names(rows: Rows) -> list[str]:
    """Names of what any row holds as a number, the iteration excepted, in order of appearance."""
    return list(dict.fromkeys(name for row in rows for name in row if name != "iteration" and is_number(row[name])))


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def verdicts_of(
    scores: Sequence[Row], spectra: SpectraHistory | None, thresholds: CollapseThresholds
) -> dict[str, dict[str, Any] | None]:
    """Both verdicts of a run, as run.json keeps them; None where nothing was recorded."""
    modes = mode_collapse(scores, thresholds) if scores else None
    collapse = spectral_collapse(spectra.iterations, spectra.judged(), thresholds) if spectra is not None else None
    return {
        name: asdict(verdict) if verdict else None for name, verdict in zip(VERDICTS, (modes, collapse), strict=True)
    }
