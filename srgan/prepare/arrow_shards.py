"""Some photographs become one Arrow file of small squares: all of it or nothing."""

import json
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np

from srgan.prepare.decoding import UnreadableImage, read_image
from srgan.prepare.image_sources import Source
from srgan.utils.files import write_atomically, write_json
from srgan.utils.progress import Progress

if TYPE_CHECKING:
    import pyarrow


class Part(NamedTuple):
    """An Arrow file at `path`, whose bytes are a function of the other fields and of the files below `root`.

    `sources` are the files in the order of the rows, with their labels. Columns: images as fixed-size lists of `3 H W`
    uint8 (H = W = image_size), and labels int64.
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
        }
        write_json(self.path.with_suffix(".json"), {**about, "unreadable": unreadable})


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
    about = path.with_suffix(".json")
    record: dict[str, Any] | None = json.loads(about.read_text()) if about.exists() and path.is_file() else None
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
    """Makes the parts in turn, each by several threads: Pillow decodes and resizes without the interpreter's lock.

    Shows how many files of a `total` are done, with those of parts made before.
    """
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
