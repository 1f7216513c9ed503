"""A checkpoint as a folder for others: weights as safetensors, settings as JSON, a model card. No pickle."""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch

from srgan.checkpoints.allowed_classes import check_class_paths
from srgan.checkpoints.model_card import model_card
from srgan.checkpoints.reading import RunCheckpoint
from srgan.checkpoints.rebuilding import rebuild_nets
from srgan.checkpoints.sizes import MAX_COUNT
from srgan.utils.files import write_atomically, write_json, write_text
from srgan.utils.optional_packages import installed_version, require

WEIGHTS, SETTINGS, CARD = "model.safetensors", "config.json", "README.md"
FILES = [WEIGHTS, SETTINGS, CARD]
SECTIONS = {"model", "data", "samples", "scores"}
"""The groups of settings that drawing and scoring read."""


def is_exported(path: Path) -> bool:
    """Whether a path is such a folder."""
    return (path / SETTINGS).is_file()


def write_folder(checkpoint: RunCheckpoint, folder: Path, name: str) -> None:
    """Writes weights, settings with scores, and the model card of a model OWNER/NAME.

    Raises:
        ValueError: the checkpoint cannot be loaded again, or the folder is neither new, nor empty, nor such a folder.
    """
    require("safetensors")
    from safetensors.torch import save

    check_same_content(folder)
    constraint = rebuild_nets(checkpoint).constraint
    scores, protocol = recorded_scores(checkpoint)
    about = without_places(
        {
            "srgan": installed_version(),
            "constraint": checkpoint.constraint,
            "sentence": constraint.sentence,
            "iteration": checkpoint.iteration,
            "scores": scores,
            "protocol": protocol,
            "settings": checkpoint.config,
        }
    )
    weights = {
        key: tensor.clone(memory_format=torch.contiguous_format) for key, tensor in checkpoint.weights.items()
    }  # safetensors takes no two names of one memory
    write_atomically(folder / WEIGHTS, lambda file: file.write(save(weights, {"format": "pt"})))
    write_text(folder / CARD, model_card(about, name))
    write_json(folder / SETTINGS, about)


def check_same_content(folder: Path) -> None:
    """ValueError for a folder that is neither new, nor empty, nor exported: it may hold another README.md."""
    if folder.exists() and not (is_exported(folder) or (folder.is_dir() and not any(folder.iterdir()))):
        raise ValueError(
            f"Expected a new or empty folder, or one of srgan push or pull, found '{folder}'. Choose another."
        )


def recorded_scores(checkpoint: RunCheckpoint) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """The scores of its run at its iteration, the final ones if there are, and their protocol; else None."""
    run = checkpoint.run
    if run is None:
        return None, None
    final = run.read_final()
    if final and final["iteration"] == checkpoint.iteration:
        return final["scores"], final["protocol"]
    for row in run.read_scores():
        if row.pop("iteration") == checkpoint.iteration:
            return row, run.read_protocol()
    return None, None


def without_places(content: Any) -> Any:
    """The same content with absolute paths cut to their last names."""
    if isinstance(content, dict):
        return {key: without_places(value) for key, value in content.items()}
    if isinstance(content, list):
        return [without_places(value) for value in content]
    return Path(content).name if isinstance(content, str) and Path(content).is_absolute() else content


def read_folder(folder: Path, allowed: Collection[str] = ()) -> RunCheckpoint:
    """Reads what `write_folder` wrote. No class is imported before it was checked.

    Raises:
        ValueError: a file is missing or damaged, or the settings name a class that is neither srgan's nor `allowed`.
    """
    require("safetensors")
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        about = json.loads((folder / SETTINGS).read_bytes())
        settings = about["settings"]
        checkpoint = RunCheckpoint(
            folder, settings, load_file(folder / WEIGHTS), int(about["iteration"]), str(about["constraint"])
        )
        if not 0 <= checkpoint.iteration < MAX_COUNT:
            raise ValueError(f"iteration {about['iteration']}")
        if not isinstance(settings, dict) or not all(isinstance(settings.get(name), dict) for name in SECTIONS):
            raise ValueError(f"settings without one of {', '.join(sorted(SECTIONS))}")
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise ValueError(
            f"Expected {SETTINGS} and {WEIGHTS} as srgan push writes them in '{folder}', found "
            f"{type(error).__name__}: {error}. Take another copy."
        ) from None
    check_class_paths(checkpoint.config, folder, allowed)
    return checkpoint
