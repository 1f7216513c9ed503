"""Images from memory and from disk.

One process, one thread, random images, warm. *Made ready* is to [-1, 1] with noise drawn for each pixel, as in
training. The prepared folder is made by `srgan prepare` of synthetic JPEGs.
"""

import tempfile
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from bench.harness import Tables, in_turns, medians, seconds_of
from srgan.cli.main import main as srgan
from srgan.data import DigitsData, FolderData, HubData, ImageData

JPEGS, BATCH, N_DIS, REPETITIONS = 512, 64, 5, 15


def write_jpegs(folder: Path) -> None:
    """`<folder>/train/<class>/<image>.JPEG`, of noise: it is their pixels, made ready once, that are read."""
    random = np.random.default_rng(0)
    for k in range(JPEGS):
        path = folder / "train" / f"n{k % 4:08d}" / f"{k:06d}.JPEG"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (150, 200, 3), dtype=np.uint8)).save(path)


def delivering(data: ImageData) -> dict[str, Callable[[], object]]:
    """Calls that read the real images of the next iteration, and that make read ones ready."""
    data.setup("fit")
    iterations = count()
    read = data.batch(0)
    return {
        "read": lambda: data.batch(next(iterations)),
        "made ready": lambda: data.on_after_batch_transfer(read, 0),
    }


def measure() -> Tables:
    """All sources in turns."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        root, out = Path(temporary) / "photographs", Path(temporary) / "prepared"
        write_jpegs(root)
        srgan(["prepare", str(root), str(out), "--workers", "1"])
        sources = {
            "stacked digits, 32 x 32, memory": DigitsData(32, BATCH, N_DIS),
            "folder, 32 x 32, memory": FolderData(str(root), image_size=32, batch_size=BATCH, n_dis=N_DIS),
            "prepared, 128 x 128, disk": HubData(str(out), image_size=128, batch_size=BATCH, n_dis=N_DIS),
        }
        calls = {name: delivering(data) for name, data in sources.items()}
        acts = {f"{name}: {part}": call for name, parts in calls.items() for part, call in parts.items()}
        seconds = medians(in_turns({name: partial(seconds_of, act) for name, act in acts.items()}, REPETITIONS))
    return {"": [{"source": name, "images per second": BATCH * N_DIS / value} for name, value in seconds.items()]}
