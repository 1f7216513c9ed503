"""Runs in short: badges, marks, facts, provenance, and the cards of the overview, in rows that differ in the method."""

import json
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from srgan.collapse import tail_mean
from srgan.runs.recorded import RecordedRun
from srgan.utils.downsampling import kept_times

COLLAPSES = {
    "mode_collapse": ("mode collapse", "#E8590C", "solid", "left"),
    "spectral_collapse": ("spectral collapse", "#C026D3", "dash", "right"),
}
"""Verdict -> name, and the look of its mark: colour, dash, the side on which its words stand."""
SWITCH = ("#0CA678", "dot", "left")
SVG_DASHES = {"solid": "none", "dash": "4 2", "dot": "1.5 2"}

FACTS = {
    "data.class_path": "data",
    "data.init_args.batch_size": "batch",
    "data.init_args.image_size": "image size",
    "model.networks.init_args.discriminator_channels": "D channels",
    "model.networks.init_args.generator_channels": "G channels",
    "model.loss": "loss",
    "model.n_dis": "D updates per iteration",
    "model.seed": "seed",
}
START_OF_SR = "model.constraint.init_args.schedule.start_iteration"
METHOD_SETTINGS = ("model.constraint", "model.iterations", "trainer.", "checkpoints.")
"""Settings in which runs side by side may differ: the method, and how long or where they trained."""

MOST_POINTS, WIDTH, HEIGHT = 60, 132, 40  # of a sparkline


class Mark(NamedTuple):
    """An event, shown as a vertical line in every plot over time."""

    iteration: int
    text: str
    color: str
    dash: str
    side: str


def marks(run: RecordedRun) -> list[Mark]:
    """The collapses of a run, and where its method changed."""
    found = [Mark(at, *look) for kind, look in COLLAPSES.items() if (at := run.collapse_iteration(kind)) is not None]
    label, parent = run.record["constraint"]["label"], run.record.get("parent")
    start = run.settings.get(START_OF_SR) or 0
    if parent and parent["constraint"] != label:
        found.append(Mark(parent["iteration"], f"{parent['constraint'] or 'other run'} → {label}", *SWITCH))
    if start > (parent or {}).get("iteration", 0):
        found.append(Mark(start, f"SN → {label}", *SWITCH))
    return found


def badges(run: RecordedRun) -> list[tuple[str, str]]:
    """Status and verdicts: a class of the page's style, and words."""
    status, found, so_far = run.record["status"], [("plain", "finished")], ""
    if status != "finished":
        progress, so_far = run.folder.read_progress(), " so far"
        reached = f" at {progress['iteration']:,} of {run.record['iterations']:,}" if progress else ""
        found = [("status", f"{status}{reached}")]
    for kind, (name, *_) in COLLAPSES.items():
        verdict = run.verdicts[kind]
        if not verdict:
            found.append(("plain", f"{name}: not judged"))
        elif verdict["collapsed"]:
            found.append((f"bad {kind}", f"{name} at {verdict['iteration']:,}{so_far}"))
        else:
            found.append(("plain", f"no {name}{so_far}"))
    if run.warnings:
        found.append(("status", f"{len(run.warnings)} warning{'s' * (len(run.warnings) != 1)}"))
    return found


def facts(settings: Mapping[str, Any]) -> dict[str, str]:
    """Name and value of the settings, given by dotted name, that tell one run from the next."""
    found = {name: str(settings[key]) for key, name in FACTS.items() if settings.get(key) is not None}
    if "data" in found:
        found["data"] = found["data"].rpartition(".")[2].removesuffix("Data")
    return found


def provenance(run: RecordedRun) -> dict[str, object]:
    """Where, when and with what it ran."""
    record, seconds = run.record, run.record.get("seconds")
    found: dict[str, object] = {"folder": run.folder.path}
    found |= {f"hardware: {key}": value for key, value in (record.get("hardware") or {}).items()}
    found |= {key: record.get(key) for key in ("commit", "started", "ended")}
    if seconds:
        found["training time"] = f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds / 60:.1f} min"
    found["resumed at iteration"] = ", ".join(map(str, record.get("resumed_at") or [])) or None
    memory, versions = record.get("peak_memory") or {}, record.get("versions") or {}
    found |= {f"largest memory, {key}": f"{size / 2**30:.1f} GiB" for key, size in memory.items()}
    found |= {f"version of {name}": value for name, value in versions.items()}
    return {key: value for key, value in found.items() if value is not None}


def rows_of_cards(runs: Sequence[RecordedRun], thumbnails: Mapping[str, str]) -> list[dict[str, Any]]:
    """Runs of one folder whose settings differ in the method alone, as rows: "folder", "facts", "cards", "keys".

    `thumbnails` are data URLs by a run's key.
    """
    rows: dict[tuple[str, str], list[RecordedRun]] = {}
    for run in runs:
        parent = PurePosixPath(run.key).parent.as_posix()
        settings = {key: value for key, value in run.settings.items() if not key.startswith(METHOD_SETTINGS)}
        rows.setdefault((parent, json.dumps(settings, sort_keys=True, default=str)), []).append(run)
    for row in rows.values():  # shorter labels first, so that what a method adds to comes before it
        row.sort(key=lambda run: (len(run.label), run.label, run.key))
    return [
        {
            "folder": "this folder" if parent == "." else parent,
            "facts": facts(row[0].settings),
            "keys": [run.key for run in row],
            "cards": _cards(row, thumbnails),
        }
        for (parent, _), row in rows.items()
    ]


def _cards(row: Sequence[RecordedRun], thumbnails: Mapping[str, str]) -> list[dict[str, Any]]:
    """What the cards of a row show; sparklines have the same limits along the row."""
    last = max(run.last_iteration for run in row)
    scores = np.concatenate([_best_score(run)[1] for run in row])
    finite = scores[np.isfinite(scores)]
    limits = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    return [
        {
            "run": run,
            "badges": badges(run)[run.record["status"] == "finished" :],  # finished is what a card says by silence
            "thumbnail": thumbnails.get(run.key),
            "marks": [
                {
                    "x": round(2 + mark.iteration / last * (WIDTH - 4), 1),
                    "dashes": SVG_DASHES[mark.dash],
                    **mark._asdict(),
                }
                for mark in marks(run)
            ],
            "sparklines": [
                _sparkline("tail mean", *_tail_mean(run), last, (0.0, 1.0)),
                _sparkline(run.best["score"] if run.best else "score", *_best_score(run), last, limits),
            ],
        }
        for run in row
    ]


def _tail_mean(run: RecordedRun) -> tuple[np.ndarray, np.ndarray]:
    """Of all judged layers, over time."""
    if run.spectra is None or not run.spectra.judged():
        return np.array([]), np.array([])
    judged = [tail_mean(run.spectra.spectra[name]) for name in run.spectra.judged()]
    return run.spectra.iterations, np.mean(judged, axis=0)


def _best_score(run: RecordedRun) -> tuple[np.ndarray, np.ndarray]:
    """The score that decides which evaluation is best, over time."""
    score = run.best["score"] if run.best else ""
    rows = [(row["iteration"], row[score]) for row in run.scores if row.get(score) is not None]
    return np.array([iteration for iteration, _ in rows]), np.array([value for _, value in rows])


def _sparkline(name: str, x: np.ndarray, y: np.ndarray, last: int, limits: tuple[float, float]) -> dict[str, Any]:
    """A small line without axes: its last value, and its points as SVG has them."""
    kept, (low, high) = kept_times(x, MOST_POINTS), limits
    points = [
        f"{2 + t / last * (WIDTH - 4):.1f},{HEIGHT - 3 - (value - low) / ((high - low) or 1) * (HEIGHT - 6):.1f}"
        for t, value in zip(x[kept], y[kept], strict=True)
    ]
    return {"name": name, "last": f"{y[-1]:,.4g}" if len(y) else None, "points": " ".join(points)}
