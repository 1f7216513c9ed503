"""Many generated images as files that other people's metric tools read: a folder of PNGs, or one .npz."""

import csv
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from srgan.data.images import quantize
from srgan.files import write_atomically, write_json, write_text
from srgan.inspection.generator import StoredGenerator
from srgan.inspection.latents import drawn_latents
from srgan.metrics.features import hash_weights
from srgan.progress import Progress
from srgan.sampling import SCORED, GeneratorStatistics

RECORD, LABELS = "images.json", "labels.csv"

Batches = Callable[[int], Iterator[tuple[Tensor, Tensor]]]
"""First row -> (images `[B, 3, H, W]` uint8, classes `[B]`) from there on."""


def export(
    stored: StoredGenerator,
    path: Path,
    number: int | None,
    seed: int | None,
    statistics: GeneratorStatistics | None,
    threshold: float | None,
    classes: list[int] | None,
) -> int:
    """Writes the first images of the stream that the run's scores are measured on. What is None is as in the run.

    Args:
        stored: the generator.
        path: a folder, or a file *.npz of `arr_0` [N, H, W, 3] uint8 and, with classes, `arr_1` [N] int64.
        number: of images.
        seed: of the latents.
        statistics: of batch norm.
        threshold: of truncation.
        classes: in turn; None draws them uniformly.

    Returns:
        How many images there are.

    Raises:
        ValueError: impossible numbers, or a folder that holds something else.
    """
    protocol = stored.checkpoint.config["scores"]["protocol"]
    final = stored.checkpoint.config["scores"]["final"]
    count = number or (final or protocol)["num_fake_images"]
    seed = protocol["seed"] if seed is None else seed
    statistics = statistics or protocol["generator_statistics"]
    batch_size = protocol["batch_size"]
    network = stored.network(statistics, alone=False)

    def inputs(rows: range) -> tuple[Tensor, Tensor]:
        z, labels = drawn_latents(network, rows, stored.device, seed, SCORED, threshold)
        return z, labels if classes is None else torch.tensor([classes[row % len(classes)] for row in rows]).to(labels)

    @torch.no_grad()
    def batches(start: int) -> Iterator[tuple[Tensor, Tensor]]:
        with Progress("images", count, done=start) as progress:
            for first in range(start, count, batch_size):
                z, labels = inputs(range(first, min(first + batch_size, count)))
                yield quantize(network(z, labels)).cpu(), labels.cpu()
                progress.advance(len(z))

    if path.suffix.lower() == ".npz":
        _write_npz(path, batches, (count, stored.pixels, stored.pixels, 3), bool(network.num_classes))
        return count
    record = {
        "iteration": stored.checkpoint.iteration, "generator_hash": hash_weights(stored.generator), "seed": seed,
        "generator_statistics": statistics, "batch_size": batch_size, "truncation": threshold, "classes": classes,
    }  # fmt: skip
    start = _begin_folder(path, record, count, batch_size)
    if network.num_classes:
        write_text(path / LABELS, _labels(inputs(range(count))[1].tolist()))
    row = start
    for images, _ in batches(start):
        for image in images.permute(0, 2, 3, 1).numpy():
            Image.fromarray(image).save(path / _name(row))
            row += 1
    return count


def _name(row: int) -> str:
    return f"{row:06d}.png"


def _labels(labels: list[int]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(
        [("file", "class"), *((_name(row), label) for row, label in enumerate(labels))]
    )
    return text.getvalue()


def _begin_folder(folder: Path, record: dict[str, Any], count: int, batch_size: int) -> int:
    """The row to go on from: the last batch that was begun is written again, since a kill may have cut it.

    Raises:
        ValueError: the folder holds something else, or more images.
    """
    existing = sorted(folder.glob("*.png")) if folder.is_dir() else []
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        path = folder / RECORD
        if not path.exists() or json.loads(path.read_text()) != record:
            raise ValueError(
                f"Expected a new or an empty folder, or one in which the same images were begun, found '{folder}'. "
                "Choose another for --images."
            )
    if len(existing) > count:
        raise ValueError(
            f"Expected at most {count} images in '{folder}', found {len(existing)}. Choose another folder."
        )
    write_json(folder / RECORD, record)
    return max(0, len(existing) - 1) // batch_size * batch_size


def _write_npz(path: Path, batches: Batches, shape: tuple[int, ...], labelled: bool) -> None:
    """One array after the other, without ever holding all images: as `np.savez` would write them."""

    def write(file: IO[bytes]) -> None:
        all_labels = []
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            with archive.open("arr_0.npy", "w", force_zip64=True) as images_file:
                header = {"descr": "|u1", "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(images_file, header)
                for images, labels in batches(0):
                    images_file.write(images.permute(0, 2, 3, 1).contiguous().numpy().tobytes())
                    all_labels.append(labels)
            if labelled:
                with archive.open("arr_1.npy", "w") as labels_file:
                    np.lib.format.write_array(labels_file, torch.cat(all_labels).numpy())

    write_atomically(path, write)
