"""Images per second that the data modules deliver, ready for the nets: from memory, and from a prepared folder.

`python -m bench.loading` prints and writes bench/results/loading.json. One process, one thread. Random images
are read as bytes, warm, and made ready: turned into [-1, 1] with noise drawn for every pixel, as in training. The
prepared folder is made by `srgan prepare imagenet` of synthetic JPEGs.
"""

import argparse
import tempfile
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bench.measure import environment, in_turns, medians, timed, use_threads, write_result
from srgan.cli import main as srgan
from srgan.data import DigitsData, FolderData, ImageData, ImageNetData

JPEGS, HEIGHT, WIDTH = 512, 375, 500  # about ImageNet's middle size
BATCH, N_DIS, REPETITIONS = 64, 5, 15


def write_jpegs(folder: Path, number: int) -> None:
    """`<folder>/train/<class>/<image>.JPEG`: smooth colours under noise, so that they compress like photographs."""
    random = np.random.default_rng(0)
    for k in range(number):
        path = folder / "train" / f"n{k % 4:08d}" / f"{k:06d}.JPEG"
        path.parent.mkdir(parents=True, exist_ok=True)
        colours = Image.fromarray(random.integers(0, 256, (12, 16, 3), dtype=np.uint8)).resize((WIDTH, HEIGHT))
        noise = random.normal(0, 12, (HEIGHT, WIDTH, 1))
        Image.fromarray((np.asarray(colours) + noise).clip(0, 255).astype(np.uint8)).save(path, quality=90)


def delivering(data: ImageData) -> dict[str, Callable[[], object]]:
    """Calls that read the real images of the next iteration, and that make read ones ready."""
    data.setup("fit")
    iterations = count()
    read = data.batch(0)
    return {
        "read": lambda: data.batch(next(iterations)),
        "made ready": lambda: data.on_after_batch_transfer(read, 0),
    }


def measure(jpegs: int, repetitions: int) -> dict[str, Any]:
    """All sources in turns."""
    with tempfile.TemporaryDirectory() as temporary:
        root, out = Path(temporary) / "photographs", Path(temporary) / "prepared"
        write_jpegs(root, jpegs)
        srgan(["prepare", "imagenet", str(root), str(out), "--workers", "1"])
        sources = {
            "stacked digits, 32 x 32, memory": DigitsData(32, BATCH, N_DIS),
            "folder, 32 x 32, memory": FolderData(str(root), image_size=32, batch_size=BATCH, n_dis=N_DIS),
            "prepared, 128 x 128, disk": ImageNetData(str(out), batch_size=BATCH, n_dis=N_DIS),
        }
        acts = {
            f"{name}: {part}": timed(act) for name, data in sources.items() for part, act in delivering(data).items()
        }
        seconds = medians(in_turns(acts, repetitions))
    rates = {name: BATCH * N_DIS / value for name, value in seconds.items()}
    return {"jpegs": jpegs, "batch_size": BATCH, "n_dis": N_DIS, "images_per_second": rates}


def main() -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(prog="python -m bench.loading", description="Images per second.")
    parser.add_argument("--repetitions", type=int, default=REPETITIONS)
    parser.add_argument("--jpegs", type=int, default=JPEGS)
    options = parser.parse_args()
    use_threads(1)
    result = environment(1) | {"repetitions": options.repetitions} | measure(options.jpegs, options.repetitions)
    for name, rate in result["images_per_second"].items():
        print(f"{name:>44} {rate:10,.0f} images per second")
    write_result("loading", result)


if __name__ == "__main__":
    main()
