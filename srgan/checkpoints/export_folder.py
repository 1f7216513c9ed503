"""A checkpoint as a folder for others: weights as safetensors, settings as JSON, a model card. No pickle."""

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch

from srgan.checkpoints.reading import RunCheckpoint, check_class_paths
from srgan.checkpoints.rebuilding import MAX_COUNT, rebuild_nets
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

    ValueError if the checkpoint cannot be loaded again, or the folder is neither new, nor empty, nor such a folder.
    """
    require("safetensors")
    from safetensors.torch import save

    check_same_content(folder)
    constraint = rebuild_nets(checkpoint).constraint
    scores, protocol = recorded_scores(checkpoint)
    content = {
        "srgan": installed_version(),
        "constraint": checkpoint.constraint,
        "sentence": constraint.sentence,
        "iteration": checkpoint.iteration,
        "scores": scores,
        "protocol": protocol,
        "settings": checkpoint.config,
    }
    about = without_places(content)
    # safetensors takes no two names of one memory.
    weights = {name: W.clone(memory_format=torch.contiguous_format) for name, W in checkpoint.weights.items()}
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

    ValueError if a file is missing or damaged, or the settings name a class that is neither srgan's nor `allowed`.
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


MODEL_CARD = """\
---
library_name: srgan
pipeline_tag: unconditional-image-generation
tags: [gan, srgan, spectral-regularization]
---

# {constraint} on {data}, {image_size} x {image_size}

Generator and discriminator of a GAN, trained with srgan {srgan} ([spectral regularization](https://arxiv.org/abs/1908.10999),
not super-resolution).

| | |
| --- | --- |
| method | {constraint}: {sentence} |
| data | {data} |
| images | {image_size} x {image_size} pixels{classes} |
| iteration | {iteration:,} of {iterations:,} |
| moving average of the generator | {average} |

## Scores

{scores}

## Load

```python
import srgan

gan = srgan.load("{name}")  # the id of this model on the hub, or its folder
images = gan.generate(16)  # [16, 3, {image_size}, {image_size}] float32 in [-1, 1]
```

`pip install "spectral-regularization-gan[hub]"`. The folder holds tensors and settings, no pickle and no code.

## Settings

```yaml
{settings}
```
"""


def model_card(about: Mapping[str, Any], name: str) -> str:
    """Markdown, from what config.json holds; `name` is the model's id on the hub."""
    import yaml  # of an extra

    settings = about["settings"]
    model, data = settings["model"], settings["data"]
    networks = model["networks"]["init_args"]
    place = data["init_args"].get("path")
    classes = networks.get("num_classes", 0)
    return MODEL_CARD.format(
        **{key: about[key] for key in ("srgan", "constraint", "sentence", "iteration")},
        name=name,
        data=data["class_path"].rpartition(".")[2] + (f" of {place}" if place else ""),
        image_size=networks["image_size"],
        classes=f", {classes} classes" if classes else "",
        iterations=model["iterations"],
        average=f"decay {model['ema_decay']}; `srgan.load(..., ema=True)`" if model.get("ema_decay") else "none",
        scores=_scores(about["scores"], about["protocol"]),
        settings=yaml.safe_dump(settings, sort_keys=False).strip(),
    )


def _scores(scores: Mapping[str, Any] | None, protocol: Mapping[str, Any] | None) -> str:
    """A table, and how it was measured."""
    if not scores:
        return "None were measured at this iteration."
    rows = [f"| {name} | {value:.6g} |" for name, value in scores.items() if isinstance(value, int | float)]
    how = ", ".join(f"{name} {value}" for name, value in (protocol or {}).items())
    return "\n".join(["| score | value |", "| --- | --- |", *rows, "", f"Protocol: {how}."])
