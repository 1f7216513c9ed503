"""`srgan prepare` on small images, and what it left."""

import json
from pathlib import Path
from typing import Any

import datasets
import numpy as np

from srgan.cli.main import main

SIZE = 8


def prepare(root: Path, out: Path, *options: str) -> int:
    return main(["prepare", str(root), str(out), "--image-size", str(SIZE), "--workers", "1", *options])


def report(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "report.json").read_text())
    return found


def content(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.iterdir()}


def images_and_labels(out: Path) -> tuple[np.ndarray, list[int]]:
    """Images `[N, 3, H, W]` uint8 and labels, as the library itself reads them."""
    data = datasets.load_from_disk(str(out)).with_format("numpy")[:]
    side = int((data["image"].shape[1] / 3) ** 0.5)
    return data["image"].reshape(-1, 3, side, side), data["label"].tolist()


def classes(out: Path) -> dict[str, int]:
    """Images of each class."""
    names = datasets.load_from_disk(str(out)).features["label"].names
    labels = images_and_labels(out)[1]
    return {name: labels.count(label) for label, name in enumerate(names)}
