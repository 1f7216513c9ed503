"""Formats for ImageNet-128, measured: bytes per image, and images per second of one core for making and reading.

`python -m bench.data --images imagenet-sample.tar` prints a table and writes bench/results/data.json. Real
photographs, prepared to 128 x 128, are written `COPIES` times over in every format and read in batches of 64 random
ones, `[64, 3, 128, 128]` uint8: warm, and with the files dropped from the page cache before. Arrow and HDF5 are
measured where pyarrow and h5py are installed: `pip install .[bench]`.
"""

import argparse
import os
import shutil
import statistics
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from srgan.files import write_json
from srgan.prepare.images import read_image
from srgan.prepare.manifest import images_per_shard
from srgan.prepare.shards import FORMAT, MANIFEST, PreparedImages, shard_file
from srgan.prepare.work import write_array
from srgan.provenance import processor, versions

IMAGE_SIZE, BATCH, COPIES, BATCHES, REPETITIONS = 128, 64, 20, 40, 5
RESULTS = Path(__file__).parent / "results" / "data.json"
Read = Callable[[np.ndarray], np.ndarray]
"""Indices `[n]` to images `[n, 3, H, W]` uint8."""


class Format(NamedTuple):
    """How images are written into a file or folder and read from it; the library it needs beside numpy and Pillow."""

    write: Callable[[np.ndarray, Path], object]
    open: Callable[[Path], Read]
    library: str | None = None


def open_npy_mapped(path: Path) -> Read:
    """A .npy of raw bytes, mapped into memory."""
    mapped = np.load(path, mmap_mode="r")
    return lambda indices: np.stack([mapped[k] for k in indices])


def write_prepared(images: np.ndarray, folder: Path) -> None:
    """A folder as `srgan prepare` leaves it, all images of one class."""
    rows = images_per_shard(len(images))
    shards = []
    for number, start in enumerate(range(0, len(images), rows)):
        part, path = images[start : start + rows], folder / shard_file(number)
        checksum = write_array(path, part)
        shards.append({"file": path.name, "images": len(part), "bytes": path.stat().st_size, "checksum": checksum})
    manifest = {"format": FORMAT, "image_size": IMAGE_SIZE, "split": "train", "classes": {"photographs": len(images)}}
    write_json(folder / MANIFEST, {**manifest, "checksum": "", "shards": shards})


def open_prepared(folder: Path) -> Read:
    """What training reads with: one positioned read per image."""
    prepared = PreparedImages(folder)
    return lambda indices: prepared.read(indices.tolist())


def write_hdf5(images: np.ndarray, path: Path, **options: Any) -> None:
    """One HDF5 data set, one image per chunk."""
    with import_module("h5py").File(path, "w") as file:
        file.create_dataset("images", data=images, chunks=(1, *images.shape[1:]), **options)


def open_hdf5(path: Path) -> Read:
    dataset = import_module("h5py").File(path, "r")["images"]
    return lambda indices: np.stack([dataset[k] for k in indices])


def write_arrow(rows: Iterable[bytes], path: Path) -> None:
    """One Arrow IPC file with a binary column, as Hugging Face datasets keeps images."""
    pyarrow = import_module("pyarrow")
    table = pyarrow.table({"image": list(rows)})
    with pyarrow.OSFile(str(path), "wb") as sink, pyarrow.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=1000)


def open_arrow(path: Path, decode: Callable[[bytes], np.ndarray]) -> Read:
    pyarrow = import_module("pyarrow")
    column = pyarrow.ipc.open_file(pyarrow.memory_map(str(path))).read_all()["image"]
    return lambda indices: np.stack([decode(column[k].as_buffer()) for k in indices.tolist()])


def encoded(images: np.ndarray, image_format: str, **options: Any) -> Iterator[bytes]:
    """Each image as a file of Pillow's."""
    for image in images:
        buffer = BytesIO()
        Image.fromarray(image.transpose(1, 2, 0)).save(buffer, image_format, **options)
        yield buffer.getvalue()


def decoded(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(content))).transpose(2, 0, 1)


def raw(content: bytes) -> np.ndarray:
    return np.frombuffer(content, np.uint8).reshape(3, IMAGE_SIZE, IMAGE_SIZE)


def arrow_of(image_format: str, **options: Any) -> Format:
    def write(images: np.ndarray, path: Path) -> None:
        once = list(encoded(images[: len(images) // COPIES], image_format, **options))  # the rest are copies
        write_arrow(COPIES * once, path)

    return Format(write, lambda path: open_arrow(path, decoded), "pyarrow")


FORMATS = {
    "npy, mapped": Format(lambda images, path: np.save(path, images), open_npy_mapped),
    "srgan prepare": Format(write_prepared, open_prepared),
    "Arrow, raw": Format(
        lambda images, path: write_arrow((image.tobytes() for image in images), path),
        lambda path: open_arrow(path, raw),
        "pyarrow",
    ),
    "HDF5, raw": Format(write_hdf5, open_hdf5, "h5py"),
    "HDF5, lzf": Format(lambda images, path: write_hdf5(images, path, compression="lzf"), open_hdf5, "h5py"),
    "Arrow, PNG": arrow_of("PNG"),
    "Arrow, WebP lossless": arrow_of("WEBP", lossless=True),
    "Arrow, JPEG quality 95": arrow_of("JPEG", quality=95),
}


def reading_rate(form: Format, path: Path, count: int, cold: bool) -> float:
    """Median images per second over REPETITIONS of BATCHES batches of random images, the file opened anew.

    Of processor time where the file is in the page cache, so that other load does not count; of wall time where not.
    """
    clock = time.perf_counter if cold else time.process_time
    rates = []
    for repetition in range(REPETITIONS):
        batches = np.random.default_rng(repetition).integers(count, size=(BATCHES, BATCH))
        if cold:
            for file in files_of(path):
                drop_from_page_cache(file)
        read = form.open(path)
        start = clock()
        for batch in batches:
            read(batch)
        rates.append(batches.size / (clock() - start))
        del read
    return statistics.median(rates)


def files_of(path: Path) -> list[Path]:
    """A format is one file or a folder of files."""
    return sorted(path.iterdir()) if path.is_dir() else [path]


def drop_from_page_cache(path: Path) -> None:
    """Its clean pages; nothing may hold the file mapped."""
    file = os.open(path, os.O_RDONLY)
    os.fsync(file)
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(file)


def main() -> None:
    """Measures every format that can be read here."""
    parser = argparse.ArgumentParser(prog="python -m bench.data", description="Formats for ImageNet-128, measured.")
    parser.add_argument("--images", type=Path, required=True, help="an uncompressed tar of photographs")
    tar = parser.parse_args().images
    with tarfile.open(tar) as archive:
        files = [archive.extractfile(member).read() for member in archive if member.isfile()]  # type: ignore[union-attr]
    start = time.process_time()
    images = np.stack([read_image(content, "", IMAGE_SIZE)[0] for content in files])
    preparing = len(files) / (time.process_time() - start)
    images = np.concatenate([images] * COPIES)
    print(f"preparing: {preparing:.0f} images per second of one core ({len(files)} files)")
    table = Table("format", "bytes per image", "read/s", "read/s, cold", "exact")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for k, (name, form) in enumerate(FORMATS.items()):
            if form.library and not find_spec(form.library):
                print(f"{name}: not measured, {form.library} is not installed")
                continue
            path = Path(folder) / f"{k}.npy"  # a name that np.save keeps
            form.write(images, path)
            row = {
                "format": name,
                "bytes_per_image": sum(file.stat().st_size for file in files_of(path)) / len(images),
                "read_per_second": reading_rate(form, path, len(images), cold=False),
                "read_per_second_cold": reading_rate(form, path, len(images), cold=True),
                "exact": bool(np.array_equal(form.open(path)(np.arange(BATCH)), images[:BATCH])),
            }
            rows.append(row)
            table.add_row(*(f"{value:,.0f}" if isinstance(value, float) else str(value) for value in row.values()))
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    Console(width=120).print(table)
    hardware = {"device": processor(), "threads": 1}
    measured = {"image_size": IMAGE_SIZE, "batch": BATCH, "images": len(images), "repetitions": REPETITIONS}
    write_json(
        RESULTS,
        {"hardware": hardware, "versions": versions(), **measured, "prepared_per_second": preparing, "rows": rows},
    )


if __name__ == "__main__":
    main()
