"""`srgan prepare imagenet` on small images, and what it left."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from srgan.cli import main
from srgan.prepare.shards import PreparedImages

SIZE = 8


def prepare(root: Path, out: Path, *options: str) -> int:
    return main(["prepare", "imagenet", str(root), str(out), "--image-size", str(SIZE), "--workers", "1", *options])


def report(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "report.json").read_text())
    return found


def content(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.iterdir()}


def images_and_labels(out: Path) -> tuple[np.ndarray, list[int]]:
    prepared = PreparedImages(out)
    return prepared.read(list(range(len(prepared)))), prepared.labels.tolist()
