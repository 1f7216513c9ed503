"""What the overview of several runs shows: rows of runs that differ in their method alone, and the front page."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from srgan.report.finding import FoundRun
from srgan.report.thinning import kept_times, rounded
from srgan.runs import flatten_settings

FRONT = "front.json"
METHOD_SETTINGS = ("model.constraint", "model.iterations", "trainer.", "checkpoints.")
"""Settings in which runs side by side may differ: the method, and how long or where they went on."""

MOST_POINTS = 60  # of a sparkline


def card(content: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a run's record that its card in the overview shows.

    Args:
        content: as `reading.read_run` makes it.
    """
    judged = [layer["tail_mean"] for layer in content["layers"] if layer["judged"]]
    times = np.array(content["times"])
    kept = kept_times(times, MOST_POINTS)
    tails = np.array(judged, float).mean(axis=0)[kept] if judged and len(times) else np.array([])
    best = content["best"] or {}
    scores = content["scores"]
    shared = ("key", "constraint", "status", "iterations", "reached", "verdicts", "verdicts_final", "best", "summary")
    return {name: content[name] for name in shared} | {
        "tail": [times[kept].tolist() if len(tails) else [], rounded(tails)],
        "score": [best["score"], scores["iteration"], scores[best["score"]]] if best else None,
        "last": {name: values[-1] for name, values in scores.items() if values},
        "warnings": len(content["warnings"]),
    }


def side_by_side(runs: Sequence[FoundRun], contents: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Runs of one folder whose settings differ in the method alone, as rows: "folder", "summary", "runs" (indexes)."""
    rows: dict[tuple[str, str], list[int]] = {}
    for index, run in enumerate(runs):
        parent = PurePosixPath(run.key).parent.as_posix()
        settings = {
            key: value
            for key, value in flatten_settings(run.record["config"]).items()
            if not key.startswith(METHOD_SETTINGS)
        }
        rows.setdefault((parent, json.dumps(settings, sort_keys=True, default=str)), []).append(index)

    def order(index: int) -> tuple[int, str, str]:
        """From left to right: the shorter name first, so that what a method adds to comes before it."""
        label = contents[index]["constraint"]["label"]
        return len(label), label, runs[index].key

    return [
        {
            "folder": "" if parent == "." else parent,
            "summary": contents[members[0]]["summary"],
            "runs": sorted(members, key=order),
        }
        for (parent, _), members in rows.items()
    ]


def read_front(root: Path) -> tuple[dict[str, Any] | None, str | None]:
    """What stands on top of the overview, if the folder holds a front.json; a note if it cannot be read."""
    path = root / FRONT
    if not path.exists():
        return None, None
    try:
        front = json.loads(path.read_text())
        for section in front["sections"]:
            table = section.get("table")
            if table and not all(isinstance(row, list) for row in table["rows"]):
                raise ValueError("expected the rows of a table to be lists of cells")
        json.dumps(front, allow_nan=False)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        return None, f"{FRONT}: cannot be read ({type(error).__name__}: {error})"
    return front, None
