"""The prepared format: numpy arrays of raw bytes, read at random without decoding, and a manifest with checksums.

OUT/images-00000.npy    `[n, 3, H, W]` uint8, sorted by class, then path
OUT/images-00000.json   what became of the files of this shard
OUT/report.json         files that were left out, and what had to be converted
OUT/manifest.json       classes, images, shards and their checksums; written last
OUT/job.json            what decides the bytes: a folder is gone on with only if it is the same
"""

import hashlib
import json
import os
from bisect import bisect_right
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

FORMAT = "srgan images 1"
JOB, MANIFEST, REPORT = "job.json", "manifest.json", "report.json"
PIECE = 1 << 24


@dataclass(frozen=True)
class Shard:
    """One array of images and where its rows come from.

    Attributes:
        file: its name in OUT.
        images: rows.
        bytes: size of the file.
        checksum: of the whole file.
        classes: rows of each class, in the order of the rows.
        unreadable: files that are not in it: path and reason.
        conversions: how many files had to be converted, by kind.
    """

    file: str
    images: int
    bytes: int
    checksum: str
    classes: dict[str, int]
    unreadable: list[dict[str, str]]
    conversions: dict[str, int]

    def is_whole(self, folder: Path, every_byte: bool) -> bool:
        """Whether the file is there with its size and, if asked, its checksum."""
        path = folder / self.file
        whole = path.is_file() and path.stat().st_size == self.bytes
        return whole and (not every_byte or checksum(path) == self.checksum)


def shard_file(number: int) -> str:
    return f"images-{number:05d}.npy"


def record_path(folder: Path, file: str) -> Path:
    return (folder / file).with_suffix(".json")


def read_shard(folder: Path, number: int) -> Shard | None:
    """What is recorded about a shard; None where it was not finished."""
    record = read_json(record_path(folder, shard_file(number)))
    return Shard(**record) if record is not None else None


def left_out(folder: Path) -> set[str]:
    """Shards, finished ones, of which some file became no image."""
    records = [read_json(path) for path in folder.glob("images-*.json")]
    return {record["file"] for record in records if record["unreadable"]}


def new_checksum() -> "hashlib.blake2b":
    return hashlib.blake2b(digest_size=16)


def checksum(path: Path) -> str:
    """BLAKE2b of a file, 128 bits."""
    digest = new_checksum()
    with path.open("rb", buffering=0) as file:
        while piece := file.read(PIECE):
            digest.update(piece)
    return digest.hexdigest()


def read_json(path: Path) -> Any:
    """None where there is no file."""
    return json.loads(path.read_text()) if path.exists() else None


class PreparedImages:
    """A finished folder, read at random. Plain data only, so that it can be sent to other processes.

    Attributes:
        image_size: H = W.
        classes: images of each class; label k is the k-th.
        checksum: names every byte of all images and labels.

    Raises:
        FileNotFoundError: nothing was prepared there, or not to its end.
        ValueError: another format, or a shard of the wrong size.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        manifest = read_json(folder / MANIFEST)
        if manifest is None:
            begun = (folder / JOB).exists()
            raise FileNotFoundError(
                f"Expected prepared images in '{folder.resolve()}', found "
                f"{'a folder that is not finished' if begun else 'none'}. Run"
                f"{' the same command again' if begun else ''}: srgan prepare imagenet ROOT {folder}"
            )
        if manifest["format"] != FORMAT:
            raise ValueError(f"Expected the format '{FORMAT}' in '{folder}', found '{manifest['format']}'.")
        self.image_size: int = manifest["image_size"]
        self.split: str = manifest["split"]
        self.classes: dict[str, int] = manifest["classes"]
        self.checksum: str = manifest["checksum"]
        self.shards: list[dict[str, Any]] = manifest["shards"]
        self._ends = list(accumulate(shard["images"] for shard in self.shards))
        for shard in self.shards:
            path = folder / shard["file"]
            size = path.stat().st_size if path.exists() else 0
            if size != shard["bytes"]:
                raise ValueError(
                    f"Expected {shard['bytes']} bytes in '{path}', found {size}. "
                    f"Run again, which makes damaged files anew: srgan prepare imagenet ROOT {folder}"
                )

    def __len__(self) -> int:
        return int(self._ends[-1])

    @cached_property
    def labels(self) -> np.ndarray:
        """`[N]` int64; images are sorted by class."""
        return np.repeat(np.arange(len(self.classes)), list(self.classes.values()))

    def read(self, indices: list[int]) -> np.ndarray:
        """Images by their indices in [0, N): `[n, 3, H, W]` uint8.

        Raises:
            IndexError: an index beyond the images.
            ValueError: a shard that was cut short.
        """
        images = np.empty((len(indices), 3, self.image_size, self.image_size), np.uint8)
        for image, index in zip(images, indices, strict=True):
            if not 0 <= index < len(self):
                raise IndexError(f"Expected an index in [0, {len(self)}), found {index}.")
            number = bisect_right(self._ends, index)
            shard = self.shards[number]
            rows_from_end = self._ends[number] - index
            file = _open(self.folder / shard["file"], shard["checksum"])
            # A positioned read shares no state with other processes that hold the same descriptor after a fork.
            if os.preadv(file.fileno(), [image.data], shard["bytes"] - rows_from_end * image.nbytes) != image.nbytes:
                raise ValueError(f"Expected {shard['bytes']} bytes in '{file.name}', it was cut short.")
        return images


@cache
def _open(path: Path, checksum: str) -> BinaryIO:
    """One descriptor per file, process and content (a file made anew has another checksum)."""
    return path.open("rb", buffering=0)
