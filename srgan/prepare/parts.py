"""Some photographs become one Arrow file of small squares, in a process of its own: all of it or nothing."""

import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from hashlib import blake2b
from multiprocessing import active_children, get_context, parent_process
from pathlib import Path
from signal import SIG_BLOCK, SIG_UNBLOCK, SIGINT, SIGTERM, pthread_sigmask
from threading import Thread
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np

from srgan.decoding import UnreadableImage, read_image
from srgan.files import write_atomically, write_json
from srgan.prepare.image_sources import Source
from srgan.progress import Progress

if TYPE_CHECKING:
    import pyarrow

SIGNALS = (SIGINT, SIGTERM)


class Part(NamedTuple):
    """An Arrow file whose bytes are a function of this and of the files.

    Attributes:
        path: of the Arrow file: images `3 H W` uint8 as fixed-size lists, and labels.
        root: where the files are.
        image_size: H = W.
        sources: the files, in the order of the rows, and their labels.
        schema: of the Arrow file.
    """

    path: Path
    root: Path
    image_size: int
    sources: list[tuple[Source, int]]
    schema: "pyarrow.Schema"

    def make(self) -> int:
        """Decodes the files, writes the images, then what became of the files; returns their number.

        Raises:
            FileNotFoundError: ROOT itself is gone.
            OSError: the part cannot be written.
        """
        import pyarrow  # not where a run merely reads what was made

        images = np.empty((len(self.sources), 3 * self.image_size**2), np.uint8)
        labels: list[int] = []
        unreadable: list[dict[str, str]] = []
        for source, label in self.sources:
            try:
                images[len(labels)] = read_image(source.read(self.root), self.image_size).reshape(-1)
                labels.append(label)
            except MemoryError as error:
                raise MemoryError(source.path) from error
            except (UnreadableImage, OSError) as error:
                if not self.root.exists():
                    raise FileNotFoundError(f"Expected images at '{self.root.resolve()}', they are gone.") from error
                unreadable.append({"file": source.path, "reason": getattr(error, "strerror", None) or str(error)})
        pixels = pyarrow.array(images[: len(labels)].reshape(-1))
        columns = [pyarrow.FixedSizeListArray.from_arrays(pixels, images.shape[1]), pyarrow.array(labels, "int64")]

        def write(file: IO[bytes]) -> None:
            with pyarrow.ipc.new_stream(file, self.schema) as stream:
                stream.write(pyarrow.record_batch(columns, schema=self.schema))

        write_atomically(self.path, write)
        about = {"images": len(labels), "bytes": self.path.stat().st_size, "checksum": checksum(self.path)}
        write_json(self.path.with_suffix(".json"), {**about, "unreadable": unreadable})
        return len(self.sources)


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
    """Makes the parts in any order; shows how many files of a `total` are done, with those of parts made before."""
    done = total - sum(len(part.sources) for part in parts)
    with Progress("preparing", total, done=done) as progress, _worker_pool(min(workers, len(parts))) as pool:
        pthread_sigmask(SIG_BLOCK, SIGNALS)  # workers never see them: it is their parent that stops them
        futures = [pool.submit(part.make) for part in parts]
        pthread_sigmask(SIG_UNBLOCK, SIGNALS)
        for future in as_completed(futures):
            progress.advance(future.result())


@contextmanager
def _worker_pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Processes of their own kind (no fork), which end with this one, however it ends."""
    pool = ProcessPoolExecutor(workers, get_context("spawn"), initializer=_end_with_parent)
    try:
        yield pool
    except BaseException:
        for process in active_children():
            process.kill()  # at any moment: a part is there as a whole or not at all
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _end_with_parent() -> None:
    """A killed parent can call nothing off, and its children would wait for orders for ever."""
    parent = parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    Thread(target=wait, daemon=True).start()
