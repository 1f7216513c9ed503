"""What the overview of several runs shows: rows of runs that differ in their method alone, and tables."""

import json
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from srgan.collapse import tail_mean
from srgan.report.words import Mark, badges, facts, marks
from srgan.runs.recorded import RecordedRun
from srgan.utils.downsampling import kept_times

Section = Mapping[str, Any]
"""Of a front page: "title", "paragraphs" and perhaps "table" ("header", "rows"), "picture" (a data URL) and "alt".

A cell is "text", and perhaps "kind", a class of the page's style, and "runs", pairs of a label and a run's key.
"""
METHOD_SETTINGS = ("model.constraint", "model.iterations", "trainer.", "checkpoints.")
"""Settings in which runs side by side may differ: the method, and how long or where they trained."""

MOST_POINTS = 60  # of a sparkline
WIDTH, HEIGHT = 132, 40  # of a sparkline


def rows_of_cards(runs: Sequence[RecordedRun], thumbnails: Sequence[str | None]) -> list[dict[str, Any]]:
    """Runs of one folder whose settings differ in the method alone, as rows: "folder", "facts", "cards", "keys"."""
    rows: dict[tuple[str, str], list[tuple[RecordedRun, str | None]]] = {}
    for run, thumbnail in zip(runs, thumbnails, strict=True):
        parent = PurePosixPath(run.key).parent.as_posix()
        settings = {key: value for key, value in run.settings.items() if not key.startswith(METHOD_SETTINGS)}
        row = rows.setdefault((parent, json.dumps(settings, sort_keys=True, default=str)), [])
        row.append((run, thumbnail))
    for row in rows.values():  # shorter labels first, so that what a method adds to comes before it
        row.sort(key=lambda card: (len(card[0].label), card[0].label, card[0].key))
    return [
        {
            "folder": "this folder" if parent == "." else parent,
            "facts": facts(row[0][0].settings),
            "keys": [run.key for run, _ in row],
            "cards": _cards(row),
        }
        for (parent, _), row in rows.items()
    ]


def _cards(row: Sequence[tuple[RecordedRun, str | None]]) -> list[dict[str, Any]]:
    """What the cards of a row show; sparklines have the same limits along the row."""
    last = max(run.last_iteration for run, _ in row)
    scores = [_best_score(run)[1] for run, _ in row]
    finite = np.concatenate(scores)[np.isfinite(np.concatenate(scores))]
    limits = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    return [
        {
            "run": run,
            "badges": badges(run)[run.record["status"] == "finished" :],  # finished is what a card says by silence
            "thumbnail": picture,
            "marks": [_place(mark, last) for mark in marks(run)],
            "sparklines": [
                _sparkline("tail mean", *_tail_mean(run), last, (0.0, 1.0)),
                _sparkline(run.best["score"] if run.best else "score", *_best_score(run), last, limits),
            ],
        }
        for run, picture in row
    ]


def _tail_mean(run: RecordedRun) -> tuple[np.ndarray, np.ndarray]:
    """Of all judged layers, over time."""
    if run.spectra is None or not run.spectra.judged():
        return np.array([]), np.array([])
    judged = [run.spectra.spectra[name] for name in run.spectra.judged()]
    return run.spectra.iterations, np.mean([tail_mean(spectra) for spectra in judged], axis=0)


def _best_score(run: RecordedRun) -> tuple[np.ndarray, np.ndarray]:
    """The score that decides which evaluation is best, over time."""
    rows = [row for row in run.scores if run.best and row.get(run.best["score"]) is not None]
    return np.array([row["iteration"] for row in rows]), np.array([row[run.best["score"]] for row in rows if run.best])


def _sparkline(name: str, x: np.ndarray, y: np.ndarray, last: int, limits: tuple[float, float]) -> dict[str, Any]:
    """A small line without axes: its last value, and its points as SVG has them."""
    kept = kept_times(x, MOST_POINTS) if len(x) else np.array([], int)
    low, high = limits
    points = [
        f"{2 + t / last * (WIDTH - 4):.1f},{HEIGHT - 3 - (value - low) / ((high - low) or 1) * (HEIGHT - 6):.1f}"
        for t, value in zip(x[kept], y[kept], strict=True)
    ]
    return {"name": name, "last": f"{y[-1]:,.4g}" if len(y) else None, "points": " ".join(points)}


def _place(mark: Mark, last: int) -> dict[str, Any]:
    dashes = {"dash": "4 2", "dot": "1.5 2"}.get(mark.dash, "none")
    return {"x": round(2 + mark.iteration / last * (WIDTH - 4), 1), "dashes": dashes, **mark._asdict()}


def wide_columns(table: Mapping[str, Any]) -> list[bool]:
    """Which columns of a front table hold words, set flush left; a gap's reason does not make words of a column."""
    columns = zip(*table["rows"], strict=True)
    return [any(len(cell["text"]) > 24 and cell.get("kind") != "gap" for cell in column) for column in columns]
