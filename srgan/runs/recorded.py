"""The one reader of runs: their files, each read once, what these say of a collapse, and which runs a folder holds."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from srgan.collapse import CollapseThresholds, is_lower_better, mode_collapse, spectral_collapse
from srgan.runs.folder import OutputsHistory, RunFolder, SpectraHistory, flatten_settings

Rows = Sequence[Mapping[str, Any]]
VERDICTS = ("mode_collapse", "spectral_collapse")
NEEDED = ("status", "config", "command", "iterations", "seed")
"""Keys of run.json without which a run is not listed."""


@dataclass(frozen=True, eq=False)
class RecordedRun:
    """A run as its folder holds it, finished or not. A damaged file raises ValueError when it is first asked for.

    `record` is run.json; `key` names the run among others, e.g. its path below the folder that is reported on.
    """

    folder: RunFolder
    record: Mapping[str, Any]
    key: str

    @property
    def name(self) -> str:
        return PurePosixPath(self.key).name

    @property
    def label(self) -> str:
        """`srgan fit --label` when the run started, else its constraint's label."""
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
        """None if none were recorded."""
        history = self.folder.read_spectra()
        return history if history and len(history.iterations) else None

    @cached_property
    def outputs(self) -> OutputsHistory | None:
        """None if none were recorded."""
        history = self.folder.read_outputs()
        return history if history and len(history.iterations) else None

    @cached_property
    def final(self) -> Mapping[str, Any]:
        """The "iteration", "protocol" and "scores" of the final evaluation; empty without one."""
        return self.folder.read_final() or {}

    @cached_property
    def final_scores(self) -> dict[str, float]:
        """Those of the final evaluation that are one number."""
        return {name: value for name, value in self.final.get("scores", {}).items() if is_number(value)}

    @property
    def branch(self) -> int | None:
        """Iteration of the parent's checkpoint that this run started from; None for a fresh start."""
        parent = self.record.get("parent")
        return int(parent["iteration"]) if parent else None

    def until(self, iteration: int) -> "RecordedRun":
        """This run with the scores, losses, gradient norms and spectra up to an iteration, without outputs of D."""
        earlier = RecordedRun(self.folder, self.record, self.key)
        for name in ("scores", "losses", "gradients"):
            vars(earlier)[name] = [row for row in getattr(self, name) if row["iteration"] <= iteration]
        count = int((self.spectra.iterations <= iteration).sum()) if self.spectra else 0
        vars(earlier).update(outputs=None, spectra=self.spectra.first(count) if self.spectra and count else None)
        return earlier

    @property
    def last_iteration(self) -> int:
        """At which anything was recorded; at least 1."""
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
        """Of VERDICTS -> "collapsed" and "iteration", of run.json or else of the files so far; None if not judged."""
        if (stored := self.record.get("verdicts")) is not None:
            return {kind: stored.get(kind) for kind in VERDICTS}
        spectra, thresholds = self.spectra, self.thresholds
        modes = mode_collapse(self.scores, thresholds) if self.scores else None
        collapse = spectral_collapse(spectra.iterations, spectra.judged(), thresholds) if spectra else None
        return {kind: asdict(one) if one else None for kind, one in zip(VERDICTS, (modes, collapse), strict=True)}

    def collapse_iteration(self, verdict: str) -> int | None:
        """Iteration of a collapse, one of VERDICTS; None if there was none or nothing to judge it by."""
        iteration: int | None = (self.verdicts[verdict] or {}).get("iteration")
        return iteration

    @property
    def collapsed(self) -> bool:
        """Its modes or its spectra."""
        return any(self.collapse_iteration(kind) is not None for kind in VERDICTS)

    @property
    def required(self) -> list[int]:
        """Iterations that stay when a history is thinned out: of verdicts and evaluations."""
        collapses = [self.collapse_iteration(kind) for kind in VERDICTS]
        return [at for at in collapses if at is not None] + [int(row["iteration"]) for row in self.scores]

    @cached_property
    def best(self) -> dict[str, Any] | None:
        """The "iteration", "score" and "value" of the lowest FID, else of the highest IS; None without either."""
        names = number_names(self.scores)
        name = next((name for prefix in ("FID", "IS") for name in names if name.startswith(prefix)), None)
        if name is None:
            return None
        rows = [row for row in self.scores if is_number(row.get(name))]
        row = (min if is_lower_better(name) else max)(rows, key=lambda row: float(row[name]))
        return {"iteration": row["iteration"], "score": name, "value": row[name]}


def recorded_run(path: Path | RunFolder, key: str | None = None) -> RecordedRun | None:
    """The run in a folder, by default called by its name; None before it begins. ValueError if it is damaged."""
    folder = path if isinstance(path, RunFolder) else RunFolder(path)
    record = folder.read_record()
    return None if record is None else RecordedRun(folder, record, folder.path.name if key is None else key)


def number_names(rows: Rows) -> list[str]:
    """Names of what any row holds as a number, the iteration excepted, in order of appearance."""
    return list(dict.fromkeys(name for row in rows for name in row if name != "iteration" and is_number(row[name])))


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def find_runs(root: Path) -> tuple[list[RecordedRun], list[str]]:
    """All runs in a folder and below it, in order of their paths, and a note for each that is broken.

    FileNotFoundError if there is no such folder, or no run in it that can be read; NotADirectoryError for a file.
    """
    if not root.exists():
        raise FileNotFoundError(f"expected a run or a folder of runs, found nothing at '{root}'. Check the path.")
    if not root.is_dir():
        raise NotADirectoryError(f"expected a folder, found the file '{root}'. Name the folder of the run.")
    runs, notes = [], []
    for path in sorted(root.rglob("run.json")):
        key = root.resolve().name if path.parent == root else path.parent.relative_to(root).as_posix()
        try:
            runs.append(_listed_run(path.parent, key))
        except (ValueError, OSError, RecursionError) as error:
            notes.append(f"{key}: its run.json cannot be read ({error})")
    if not runs:
        found = "; ".join(notes) or "no run.json in it or below it"
        raise FileNotFoundError(f"expected a run in '{root}', found {found}. Train one: srgan fit --run {root}/NAME")
    return runs, notes


def _listed_run(path: Path, key: str) -> RecordedRun:
    run = recorded_run(path, key)
    missing = NEEDED if run is None else [key for key in NEEDED if key not in run.record]
    if run is None or missing:
        raise ValueError(f"expected the keys {', '.join(NEEDED)}, found no {', '.join(missing)}")
    if not isinstance(run.record["config"], dict):
        raise ValueError("expected its config to be an object")
    return run


def parent_of(run: RecordedRun, runs: Sequence[RecordedRun]) -> RecordedRun | None:
    """The run whose checkpoint this one started from; None for a fresh start, or if it cannot be found or read.

    It is looked for among `runs`, then where it was. Runs may have moved since, e.g. from a cluster: then the names of
    the run and of the folder around it decide.
    """
    if run.branch is None:
        return None
    source = Path(run.record["parent"]["checkpoint"]).resolve().parent.parent
    paths = {other.folder.path.resolve(): other for other in runs if other.key != run.key}
    alike = [other for path, other in paths.items() if path.parts[-2:] == source.parts[-2:]]
    try:
        return paths.get(source) or next(iter(alike), None) or _listed_run(source, source.name)
    except (ValueError, OSError, RecursionError):
        return None
