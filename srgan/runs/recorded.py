"""One run's files, read once, and what they say of its collapse."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import PurePosixPath
from typing import Any

from srgan.collapse import CollapseThresholds, Row, is_lower_better, mode_collapse, spectral_collapse
from srgan.runs.discovery import FoundRun
from srgan.runs.folder import OutputsHistory, RunFolder, SpectraHistory, flatten_settings

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Recording:
    """What the files of a run hold.

    Attributes:
        key: its path relative to the folder that is reported on.
        folder: its files.
        record: the content of its run.json.
        settings: of the record, by dotted name.
        scores: evaluations, in order.
        losses: in order.
        gradients: in order.
        warnings: in order.
        spectra: None where none were recorded.
        outputs: None where none were recorded.
        thresholds: of the verdicts.
        verdicts: "mode_collapse" and "spectral_collapse" -> {"collapsed", "iteration"}, None where nothing can be said.
        best: the evaluation of the lowest FID, else of the highest IS: "iteration", "score", "value".
    """

    key: str
    folder: RunFolder
    record: Mapping[str, Any]
    settings: Mapping[str, Any]
    scores: Rows
    losses: Rows
    gradients: Rows
    warnings: Rows
    spectra: SpectraHistory | None
    outputs: OutputsHistory | None
    thresholds: CollapseThresholds
    verdicts: Mapping[str, Mapping[str, Any] | None]
    best: Mapping[str, Any] | None

    @property
    def name(self) -> str:
        return PurePosixPath(self.key).name

    @property
    def last_iteration(self) -> int:
        """Of anything that was recorded over time; 1 for nothing."""
        rows = [int(row["iteration"]) for rows in (self.scores, self.losses, self.gradients) for row in rows[-1:]]
        records = [int(history.iterations[-1]) for history in (self.spectra, self.outputs) if history is not None]
        return max([1, *rows, *records])

    @property
    def required(self) -> list[int]:
        """Iterations that no thinning out may drop: of verdicts and evaluations."""
        found = [verdict["iteration"] for verdict in self.verdicts.values() if verdict and verdict["collapsed"]]
        return found + [int(row["iteration"]) for row in self.scores]


def read_run(run: FoundRun) -> Recording:
    """Reads all the files of a run but its samples."""
    folder, record = run.folder, run.record
    label = record["constraint"]["label"]
    if not isinstance(label, str):
        raise ValueError(f"expected the label of its constraint to be a text, found {label!r}")
    scores, spectra, outputs = folder.read_scores(), folder.read_spectra(), folder.read_outputs()
    spectra = spectra if spectra is not None and len(spectra.iterations) else None
    return Recording(
        key=run.key,
        folder=folder,
        record=record,
        settings=flatten_settings(record["config"]),
        scores=scores,
        losses=folder.read_losses(),
        gradients=folder.read_gradients(),
        warnings=folder.read_warnings(),
        spectra=spectra,
        outputs=outputs if outputs is not None and len(outputs.iterations) else None,
        thresholds=_thresholds(record),
        verdicts=_verdicts(record, scores, spectra),
        best=_best_evaluation(scores),
    )


def number_names(rows: Rows) -> list[str]:
    """Names of what any row holds as a number, the iteration excepted, in order of appearance."""
    return list(dict.fromkeys(name for row in rows for name in row if name != "iteration" and is_number(row[name])))


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _thresholds(record: Mapping[str, Any]) -> CollapseThresholds:
    """Those of the verdicts, else those of the settings, else the defaults."""
    stored = (record.get("verdicts") or {}).get("thresholds") or record["config"].get("verdicts") or {}
    known = {field.name for field in fields(CollapseThresholds)}
    return CollapseThresholds(**{key: value for key, value in stored.items() if key in known})


def _verdicts(
    record: Mapping[str, Any], scores: Rows, spectra: SpectraHistory | None
) -> dict[str, Mapping[str, Any] | None]:
    """The verdicts of run.json, else those that the files allow so far."""
    stored = record.get("verdicts") or verdicts_of(scores, spectra, _thresholds(record))
    return {kind: stored.get(kind) for kind in ("mode_collapse", "spectral_collapse")}


def _best_evaluation(scores: Rows) -> dict[str, Any] | None:
    for prefix in ("FID", "IS"):
        name = next((name for name in number_names(scores) if name.startswith(prefix)), None)
        rows = [row for row in scores if name and is_number(row.get(name))]
        if name and rows:
            best = min if is_lower_better(name) else max
            row = best(rows, key=lambda row: float(row[name]))
            return {"iteration": row["iteration"], "score": name, "value": row[name]}
    return None


def verdicts_of(
    scores: Sequence[Row], spectra: SpectraHistory | None, thresholds: CollapseThresholds
) -> dict[str, dict[str, Any] | None]:
    """Both verdicts of a run, as run.json keeps them; None where nothing was recorded."""
    modes = mode_collapse(scores, thresholds) if scores else None
    collapse = spectral_collapse(spectra.iterations, spectra.judged(), thresholds) if spectra is not None else None
    found = {"mode_collapse": modes, "spectral_collapse": collapse}
    return {name: asdict(verdict) if verdict else None for name, verdict in found.items()}
