"""Which runs of Weights & Biases a run folder belongs to, and which runs descend from one another. No torch in here."""

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

from srgan.files import write_json

LINK = "wandb.json"


class Link(NamedTuple):
    """The content of a run folder's wandb.json.

    Attributes:
        group: of this run, its ancestors and its descendants.
        runs: of Weights & Biases, each with "id" and "mode" ("online", "offline"), the newest last. Offline every
            start of a run is a new one, which holds the whole history.
    """

    group: str
    runs: list[dict[str, str]]

    @property
    def id_to_resume(self) -> str | None:
        """Of the newest run, if Weights & Biases' server has it; a run written offline cannot be gone on with."""
        newest = self.runs[-1] if self.runs else {}
        return newest["id"] if newest.get("mode") == "online" else None


def read_link(folder: Path) -> Link | None:
    """What a run folder remembers; None if it was never logged to Weights & Biases."""
    path = folder / LINK
    return Link(**json.loads(path.read_text())) if path.exists() else None


def remember(folder: Path, group: str, run: dict[str, str]) -> None:
    """Adds a run of Weights & Biases to the folder's; the same one again changes nothing."""
    before = read_link(folder)
    runs = before.runs if before else []
    if run not in runs:
        write_json(folder / LINK, {"group": group, "runs": [*runs, run]})


def run_name(folder: Path) -> str:
    """The path below the last folder called "runs", e.g. "table2/mini/A_64-128/sn-seed1"; else the folder's name."""
    parts = folder.resolve().parts
    if "runs" not in parts[:-1]:
        return parts[-1]
    last = len(parts) - 1 - parts[-2::-1].index("runs") - 1
    return "/".join(parts[last + 1 :])


def group_of(folder: Path, parent: dict[str, Any] | None, mark: str) -> str:
    """One name for all runs that descend from one another by `--from-checkpoint`.

    Args:
        folder: of the run.
        parent: run.json's "parent": the "checkpoint" from which the run goes on; None for a fresh start.
        mark: what tells a run without parent from others of its name.
    """
    link = read_link(folder)
    if link:
        return link.group
    if parent is None:
        return f"{run_name(folder)}-{mark}"
    origin = run_of_checkpoint(Path(parent["checkpoint"]))
    mark_of_origin = hashlib.sha1(str(origin.resolve()).encode()).hexdigest()[:8]
    return group_of(origin, _parent_in_record(origin), mark_of_origin)


def run_of_checkpoint(checkpoint: Path) -> Path:
    """The run folder that a checkpoint lies in; for one that was moved elsewhere, its own path without suffix."""
    folder = checkpoint.resolve().parent.parent
    return folder if (folder / "run.json").exists() or (folder / LINK).exists() else checkpoint.with_suffix("")


def _parent_in_record(folder: Path) -> dict[str, Any] | None:
    record = folder / "run.json"
    parent: dict[str, Any] | None = json.loads(record.read_text()).get("parent") if record.exists() else None
    return parent
