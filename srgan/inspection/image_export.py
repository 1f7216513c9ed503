"""Many generated images as files that other people's metric tools read: a folder of PNGs, or one .npz."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from srgan.checkpoints.pretrained import TrainedGAN
from srgan.metrics.features import hash_weights
from srgan.networks.sampling import SCORED, truncated_latents
from srgan.utils.files import read_json, write_atomically, write_json, write_text
from srgan.utils.images import quantize
from srgan.utils.progress import Progress

RECORD, LABELS = "images.json", "labels.csv"


def export(
    stored: TrainedGAN,
    path: Path,
    number: int | None,
    seed: int | None,
    threshold: float | None,
    classes: list[int] | None,
) -> int:
    """Writes the first images that the run's scores are measured on; what is None is as in the run.

    Args:
        stored: the generator.
        path: a folder, or a file *.npz of `arr_0` [N, H, W, 3] uint8 and, with classes, `arr_1` [N] int64.
        number: how many images; returned.
        seed: Random seed of the latents.
        threshold: truncation threshold.
        classes: classes to cycle through; None draws them uniformly.

    Raises:
        ValueError: impossible numbers, or a folder that holds something else.
    """
    scores = stored.checkpoint.config["scores"]
    protocol = scores["protocol"]
    count = number or (scores["final"] or protocol)["num_fake_images"]
    seed = protocol["seed"] if seed is None else seed
    statistics, batch_size = protocol["generator_statistics"], protocol["batch_size"]
    network = stored.batch_network(statistics)

    def inputs(rows: range) -> tuple[Tensor, Tensor]:
        z, labels = truncated_latents(network, rows, stored.device, seed, SCORED, threshold)
        return z, labels if classes is None else torch.tensor([classes[row % len(classes)] for row in rows]).to(labels)

    @torch.no_grad()
    def images(start: int) -> Iterator[np.ndarray]:
        with Progress("images", count, done=start) as progress:
            for first in range(start, count, batch_size):
                batch = quantize(network(*inputs(range(first, min(first + batch_size, count)))))
                yield from batch.permute(0, 2, 3, 1).cpu().numpy()
                progress.update(len(batch))

    labels = inputs(range(count))[1].cpu().numpy() if network.num_classes else None
    if path.suffix.lower() == ".npz":
        arrays: dict[str, Any] = {"arr_0": np.stack(list(images(0)))} | ({} if labels is None else {"arr_1": labels})
        write_atomically(path, lambda file: np.savez(file, **arrays))
        return count
    record = {
        "iteration": stored.checkpoint.iteration, "generator_hash": hash_weights(stored.generator), "seed": seed,
        "generator_statistics": statistics, "batch_size": batch_size, "truncation": threshold, "classes": classes,
    }  # fmt: skip
    start = _begin_folder(path, record, count, batch_size)
    if labels is not None:
        rows = [f"{_name(row)},{label}" for row, label in enumerate(labels)]
        write_text(path / LABELS, "\n".join(["file,class", *rows, ""]))
    for row, image in enumerate(images(start), start):
        Image.fromarray(image).save(path / _name(row))
    return count


def _name(row: int) -> str:
    return f"{row:06d}.png"


def _begin_folder(folder: Path, record: dict[str, Any], count: int, batch_size: int) -> int:
    """The row to resume from: the last batch is written again, since a kill may have cut it."""
    is_used = folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
    if is_used and read_json(folder / RECORD) != record:
        raise ValueError(
            f"Expected a new or an empty folder, or one with a part of the same images, found '{folder}'. "
            "Choose another for --export-images."
        )
    existing = len(list(folder.glob("*.png")))
    if existing > count:
        raise ValueError(f"Expected at most {count} images in '{folder}', found {existing}. Choose another folder.")
    write_json(folder / RECORD, record)
    return max(0, existing - 1) // batch_size * batch_size
