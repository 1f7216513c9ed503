"""Photographs to a folder that `datasets.load_from_disk` opens, in parts: none is made twice if a command is stopped.

data-00000.arrow, data-00000.json   a part of the images, and what became of its files
job.json                            what decides the bytes: only a folder with the same job is resumed
report.json                         what was left out
dataset_info.json, state.json       the library's files, which make one data set of the parts; written last
"""

import json
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from hashlib import blake2b
from math import ceil
from pathlib import Path
from shutil import disk_usage
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np

from srgan.prepare.decoding import DECODER, PIXELS, UnreadableImage, read_image, warnings_of
from srgan.prepare.image_sources import Listing, Source, check_emptied_classes, list_sources
from srgan.utils.files import read_json, write_atomically, write_json
from srgan.utils.progress import Progress

if TYPE_CHECKING:
    import pyarrow

JOB, REPORT, FINISHED, LOCK = "job.json", "report.json", "state.json", ".lock"


def prepare(
    root: Path, out: Path, image_size: int, split: str, workers: int, retry: bool, verify: bool
) -> tuple[dict[str, Any], int]:
    """Makes the parts that are missing or damaged, then one data set of them; arguments as of `srgan prepare --help`.

    Returns the report (files, images, classes, unreadable, ignored, faint) and the number of files read now. ValueError
    if `root` or a class in it has no images, or `out` is too full or of another job; OSError if `root` is gone, and
    needed, or of the disk.
    """
    listing = list_sources(root, (split,)) if root.exists() else None
    job = {"image_size": image_size, "split": split, "pixels": PIXELS}
    if listing is not None:
        job |= {"files": len(listing.sources), "listing": listing.digest()}
    count = _check_others(out, job)["files"]
    starts = range(0, count, rows_per_part(count))
    paths = [out / f"data-{number:05d}.arrow" for number in range(len(starts))]
    missing = _missing(paths, retry, verify)
    if (out / FINISHED).exists() and not missing and (report := read_json(out / REPORT)):
        return report, 0
    if listing is None:
        needed = f" It is needed to make {', '.join(paths[n].name for n in missing)} in '{out}'."
        raise FileNotFoundError(f"Expected images at '{root.resolve()}', found nothing.{needed}")
    job["decoder"] = DECODER
    _check_others(out, job)
    _begin(out, job, len(missing) * starts.step * 3 * image_size**2)
    labels = {name: label for label, name in enumerate(listing.classes)}
    rows = [(source, labels[source.class_name]) for source in listing.sources]
    schema = features_of(image_size, listing.classes).arrow_schema
    parts = [Part(paths[n], root, image_size, rows[starts[n] :][: starts.step], schema) for n in missing]
    make_parts(parts, workers, count)
    return _finish(root, out, paths, listing, job), sum(len(part.sources) for part in parts)


def rows_per_part(count: int) -> int:
    """Depends on N only: at most 256 parts of 64 images or more. ImageNet: 5,005, 246 MB."""
    return max(64, ceil(count / 256))


def features_of(image_size: int, label: Any) -> Any:
    """The library's description of the columns: images as lists of bytes, labels by their feature or by class names."""
    from datasets import ClassLabel, Features, List, Value  # a second of imports

    label = ClassLabel(names=label) if isinstance(label, list) else label
    return Features({"image": List(Value("uint8"), 3 * image_size**2)} | ({} if label is None else {"label": label}))


def _check_others(out: Path, job: dict[str, Any]) -> dict[str, Any]:
    """Two preparations in one folder would mix their images. Returns the job that the folder holds."""
    stored = read_json(out / JOB) or job
    if differing := [key for key in job if stored[key] != job[key]]:
        lines = "".join(f"\n  {key}: {stored[key]} there, {job[key]} here" for key in differing)
        hint = "\nFiles were added, removed or renamed in ROOT since." if "listing" in differing else ""
        raise ValueError(
            f"Expected '{out}' to hold this preparation, found another:{lines}{hint}\n"
            "Choose another OUT, or remove that folder."
        )
    return stored


def _missing(paths: Sequence[Path], retry: bool, verify: bool) -> list[int]:
    """Numbers of the parts that have to be made."""
    records = []
    with Progress("checking", len(paths), show=verify) as progress:
        for path in paths:
            records.append(record_of(path, verify))
            progress.update(1)
    return [number for number, record in enumerate(records) if record is None or (retry and record["unreadable"])]


def _begin(out: Path, job: dict[str, Any], num_bytes: int) -> None:
    """Marks the folder as this job's and unfinished; ValueError if it holds something else or the disk is too full."""
    strangers = sorted(path.name for path in out.iterdir() if path.name != LOCK)
    if strangers and not (out / JOB).exists():
        raise ValueError(f"Expected a new or empty folder '{out}', found {strangers[0]} in it. Choose another.")
    if num_bytes > (free := disk_usage(out).free):
        raise ValueError(f"Expected {num_bytes / 1e9:.1f} GB free for '{out}', found {free / 1e9:.1f} GB.")
    write_json(out / JOB, job)
    (out / FINISHED).unlink(missing_ok=True)
    for leftover in out.glob(".data-*"):  # of a process that was killed while it wrote
        leftover.unlink()


def _finish(root: Path, out: Path, paths: Sequence[Path], listing: Listing, job: dict[str, Any]) -> dict[str, Any]:
    """Writes the report and the library's files. No time, no machine, no number of workers in them."""
    from datasets import DatasetInfo

    records = [record for path in paths if (record := record_of(path)) is not None]
    unreadable = [entry for record in records for entry in record["unreadable"]]
    images = sum(record["images"] for record in records)
    reasons = {entry["file"]: entry["reason"] for entry in unreadable}
    if not images:
        file, reason = next(iter(reasons.items()))
        raise ValueError(f"Expected images, found {len(reasons)} files, none of which can be read: {file}: {reason}.")
    check_emptied_classes(root, listing.sources, reasons)
    report: dict[str, Any] = {"files": len(listing.sources), "images": images, "classes": len(listing.classes)}
    report |= {"unreadable": unreadable, "ignored": listing.ignored}
    for warning in warnings_of(max(record.get("brightest", 255) for record in records)):
        report["faint"] = warning
    write_json(out / REPORT, report)
    DatasetInfo(features=features_of(job["image_size"], listing.classes)).write_to_directory(str(out))
    checksums = [listing.classes, *(record["checksum"] for record in records)]
    state = {
        "_data_files": [{"filename": path.name} for path in paths],
        "_fingerprint": blake2b(json.dumps(checksums).encode(), digest_size=8).hexdigest(),
        "_split": job["split"],
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
    }
    write_json(out / FINISHED, state)
    return report


class Part(NamedTuple):
    """An Arrow file at `path`: images as lists of `3 H W` uint8 and labels int64, rows in the order of `sources`.

    Its bytes are a function of the other fields and of the files below `root`.
    """

    path: Path
    root: Path
    image_size: int
    sources: list[tuple[Source, int]]
    schema: "pyarrow.Schema"

    def make(self, pool: ThreadPoolExecutor, progress: Progress) -> None:
        """Decodes the files, writes the images, then what became of the files."""
        import pyarrow  # not where a run merely reads what was made

        images = np.empty((len(self.sources), 3 * self.image_size**2), np.uint8)
        labels: list[int] = []
        unreadable: list[dict[str, str]] = []
        found = pool.map(partial(decoded, self.root, self.image_size), [source for source, _ in self.sources])
        for (source, label), pixels in zip(self.sources, found, strict=True):
            if isinstance(pixels, str):
                unreadable.append({"file": source.path, "reason": pixels})
            else:
                images[len(labels)] = pixels.reshape(-1)
                labels.append(label)
            progress.update(1)
        flat = pyarrow.array(images[: len(labels)].reshape(-1))
        columns = [pyarrow.FixedSizeListArray.from_arrays(flat, images.shape[1]), pyarrow.array(labels, "int64")]

        def write(file: IO[bytes]) -> None:
            with pyarrow.ipc.new_stream(file, self.schema) as stream:
                stream.write(pyarrow.record_batch(columns, schema=self.schema))

        write_atomically(self.path, write)
        about = {
            "images": len(labels),
            "brightest": int(images[: len(labels)].max(initial=0)),
            "bytes": self.path.stat().st_size,
            "checksum": checksum(self.path),
            "unreadable": unreadable,
        }
        write_json(self.path.with_suffix(".json"), about)


def decoded(root: Path, image_size: int, source: Source) -> np.ndarray | str:
    """An image `[3, H, W]` uint8, or the reason why it is none; FileNotFoundError where ROOT itself is gone."""
    try:
        return read_image(source.read(root), image_size)
    except MemoryError as error:
        raise MemoryError(source.path) from error
    except (UnreadableImage, OSError) as error:
        if not root.exists():
            raise FileNotFoundError(f"Expected images at '{root.resolve()}', they are gone.") from error
        return getattr(error, "strerror", None) or str(error)


def record_of(path: Path, every_byte: bool = False) -> dict[str, Any] | None:
    """What became of the files of a part; None where it is missing or damaged: by its size or, if asked, any byte."""
    record = read_json(path.with_suffix(".json")) if path.is_file() else None
    if record is None or path.stat().st_size != record["bytes"]:
        return None
    return record if not every_byte or checksum(path) == record["checksum"] else None


def checksum(path: Path) -> str:
    """BLAKE2b of a file, 128 bits."""
    digest = blake2b(digest_size=16)
    with path.open("rb", buffering=0) as file:
        while piece := file.read(1 << 24):
            digest.update(piece)
    return digest.hexdigest()


def make_parts(parts: Sequence[Part], workers: int, total: int) -> None:
    """Makes the parts in turn, each by several threads: Pillow decodes and resizes without the interpreter's lock."""
    done = total - sum(len(part.sources) for part in parts)
    with (
        warnings.catch_warnings(),  # around those of the threads, which end in any order
        Progress("preparing", total, done=done) as progress,
        ThreadPoolExecutor(workers) as pool,
    ):
        try:
            for part in parts:
                part.make(pool, progress)
        except BaseException:  # stopped, among others: what waits in the pool is not begun
            pool.shutdown(wait=False, cancel_futures=True)
            raise
