"""Runs of Weights & Biases that belong to a run folder, their names and groups. No torch in here."""

import os
from pathlib import Path
from typing import Any

import wandb

from srgan.utils.files import read_json, write_json

LINK = "wandb.json"


def wandb_runs(folder: Path) -> list[dict[str, str]]:
    """The "id" and "mode" of the runs of Weights & Biases that a folder was logged to, the newest last."""
    runs: list[dict[str, str]] = (read_json(folder / LINK) or {}).get("runs", [])
    return runs


def remember(folder: Path, run: dict[str, str]) -> None:
    """Adds a run of Weights & Biases to a folder's, once."""
    if run not in (before := wandb_runs(folder)):
        write_json(folder / LINK, {"runs": [*before, run]})


def newest_id(folder: Path, online: bool = False) -> str | None:
    """Of the newest run; with `online` only if the server has it, since a run written offline cannot be resumed."""
    newest = wandb_runs(folder)[-1:]
    return newest[0]["id"] if newest and (newest[0]["mode"] == "online" or not online) else None


def run_name(folder: Path) -> str:
    """The path below the last folder called "runs", e.g. "table2/mini/A_64-128/sn-seed1"; else the folder's name."""
    path = folder.resolve()
    above = next((parent for parent in path.parents if parent.name == "runs"), path.parent)
    return path.relative_to(above).as_posix()


def group_of(folder: Path, parent: dict[str, Any] | None) -> str:
    """The name of the first of all runs that descend from one another by `--from-checkpoint`.

    `parent` is that of run.json; None for a fresh start.
    """
    while parent is not None:
        folder = run_of_checkpoint(Path(parent["checkpoint"]))
        parent = (read_json(folder / "run.json") or {}).get("parent")
    return run_name(folder)


def run_of_checkpoint(checkpoint: Path) -> Path:
    """The run folder that a checkpoint lies in; for one that was moved elsewhere, its own path without suffix."""
    folder = checkpoint.resolve().parent.parent
    return folder if (folder / "run.json").exists() else checkpoint.with_suffix("")


def wandb_mode(chosen: str | None = None) -> str:
    """What was chosen, else WANDB_MODE (now, not when wandb was imported), else the setting of `wandb offline`.

    Returns:
        "online", "offline" or "disabled".
    """
    mode: str = chosen or os.environ.get("WANDB_MODE") or wandb.setup().settings.mode
    return {"dryrun": "offline", "run": "online"}.get(mode, mode)  # their old names
