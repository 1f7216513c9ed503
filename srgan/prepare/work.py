"""What worker processes do: make one shard of images from its files, check one shard on the disk."""

import os
import signal
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from multiprocessing import get_context, parent_process
from multiprocessing.synchronize import Event
from pathlib import Path
from threading import Thread
from typing import IO

import numpy as np

from srgan.files import write_atomically, write_json
from srgan.prepare.images import UnreadableImage, read_image
from srgan.prepare.shards import Shard, new_checksum, record_path, shard_file
from srgan.prepare.sources import Source, read_source

SIGNALS = (signal.SIGINT, signal.SIGTERM)
_stop: Event | None = None


@dataclass(frozen=True)
class ShardOrder:
    """A shard to be made. Its bytes are a function of this and of the files.

    Attributes:
        root: where the files are.
        out: where the shard goes.
        number: of the shard.
        image_size: H = W.
        sources: the files of its rows, in order.
    """

    root: Path
    out: Path
    number: int
    image_size: int
    sources: list[Source]


class Stopped(Exception):
    """The work was called off between two images."""


def make_shard(order: ShardOrder) -> Shard:
    """Decodes the files, writes the array, then what became of them; both are all there or not at all.

    Raises:
        FileNotFoundError: ROOT itself is gone.
        OSError: the shard cannot be written.
    """
    images = np.empty((len(order.sources), 3, order.image_size, order.image_size), np.uint8)
    classes: Counter[str] = Counter()
    conversions: Counter[str] = Counter()
    unreadable: list[dict[str, str]] = []
    for source in order.sources:
        if _stop is not None and _stop.is_set():
            raise Stopped
        classes[source.class_name] += 0
        try:
            image, converted = read_image(_content(order.root, source), source.path, order.image_size)
        except UnreadableImage as error:
            unreadable.append({"file": source.path, "reason": str(error)})
            continue
        images[classes.total()] = image
        classes[source.class_name] += 1
        conversions.update(converted)
    file = shard_file(order.number)
    digest = write_array(order.out / file, images[: classes.total()])
    shard = Shard(
        file,
        images=classes.total(),
        bytes=(order.out / file).stat().st_size,
        checksum=digest,
        classes=dict(classes),
        unreadable=unreadable,
        conversions=dict(sorted(conversions.items())),
    )
    write_json(record_path(order.out, file), asdict(shard))
    return shard


def _content(root: Path, source: Source) -> bytes:
    """The file's bytes; one that cannot be read is no worse than one that cannot be decoded, unless all are gone."""
    try:
        return read_source(root, source)
    except OSError as error:
        if not root.exists():
            raise FileNotFoundError(f"Expected images at '{root.resolve()}', they are gone.") from error
        raise UnreadableImage(error.strerror or str(error)) from error


def write_array(path: Path, array: np.ndarray) -> str:
    """Writes a .npy; returns the checksum of the bytes that were meant to be written, before any disk saw them."""
    digest = new_checksum()

    class Checked:
        """A file for numpy that looks at what goes through."""

        def __init__(self, file: IO[bytes]) -> None:
            self.file = file

        def write(self, piece: bytes) -> int:
            digest.update(piece)
            return self.file.write(piece)

    write_atomically(path, lambda file: np.lib.format.write_array(Checked(file), array, allow_pickle=False))
    return digest.hexdigest()


def check_shard(folder: Path, shard: Shard) -> bool:
    """Whether every byte on the disk is what was meant."""
    if _stop is not None and _stop.is_set():
        raise Stopped
    return shard.is_whole(folder, every_byte=True)


@contextmanager
def worker_pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Processes of their own kind (no fork), which end with this one, however it ends."""
    context = get_context("spawn")
    stop = context.Event()
    pool = ProcessPoolExecutor(workers, context, initializer=_start_worker, initargs=(stop,))
    try:
        yield pool
    except BaseException:
        stop.set()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def signals_held_back() -> Iterator[None]:
    """Processes started in here never see Ctrl-C or SIGTERM: it is their parent that stops them."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


def _start_worker(stop: Event) -> None:
    global _stop
    _stop = stop
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A killed parent can call nothing off, and its children would wait for orders for ever."""
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
