"""Files that are never half-written, and where caches live. No torch in here: reporting reads runs with it."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from filelock import FileLock, Timeout


def cache_folder() -> Path:
    """`$SRGAN_CACHE`, else `$XDG_CACHE_HOME/srgan`, else `~/.cache/srgan`. Everything in it can be made again."""
    chosen = os.environ.get("SRGAN_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(chosen) if chosen else Path(base) / "srgan"


@contextmanager
def only_process(lock: Path, waiting: str) -> Iterator[None]:
    """Holds a lock file, which a killed process lets go of; while another process holds it, says so and waits.

    Args:
        lock: the file, made where it is missing.
        waiting: what to say.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    held = FileLock(lock)
    try:
        held.acquire(timeout=0)
    except Timeout:
        print(waiting, file=sys.stderr, flush=True)
        held.acquire()
    try:
        yield
    finally:
        held.release()


def write_atomically(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Calls `write` on a temporary file beside `path`, then puts it in place: all of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Writes UTF-8 text, atomically."""
    write_atomically(path, lambda file: file.write(text.encode()))


def write_json(path: Path, content: Any) -> None:
    """Writes readable JSON, atomically. NaN and infinity are refused: absent numbers are null."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """Rows of an append-only file; a last line that a kill cut short is left out. No file, no rows."""
    if not path.exists():
        return []
    complete = path.read_bytes().rpartition(b"\n")[0]
    return [json.loads(line) for line in complete.splitlines()]


def append_json_line(path: Path, row: dict[str, Any]) -> None:
    """Appends one row."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(json.dumps(row, allow_nan=False) + "\n")


class RecordFile:
    """Fixed-size binary records in a row, and a JSON file beside them that says what they hold.

    Args:
        path: of the records.
        dtype_of: content of the JSON file -> numpy dtype of a record, which has a field "iteration".
    """

    def __init__(self, path: Path, dtype_of: Callable[[dict[str, Any]], np.dtype]) -> None:
        self.path = path
        self.layout = path.with_suffix(".json")
        self.dtype_of = dtype_of

    def read(self, first: int = 0) -> tuple[dict[str, Any], np.ndarray] | None:
        """Layout and records `[T]` from the `first` on, without one that a kill cut short; None if there are none."""
        if not self.layout.exists() or not self.path.exists():
            return None
        layout = json.loads(self.layout.read_text())
        dtype = self.dtype_of(layout)
        with self.path.open("rb") as file:
            file.seek(first * dtype.itemsize)
            content = file.read()
        return layout, np.frombuffer(content[: len(content) // dtype.itemsize * dtype.itemsize], dtype)

    def append(self, layout: dict[str, Any], record: np.ndarray) -> None:
        """Appends a record; the first one writes the layout.

        Raises:
            ValueError: the records so far have another layout.
        """
        if not self.layout.exists():
            write_json(self.layout, layout)
        elif (stored := json.loads(self.layout.read_text())) != layout:
            raise ValueError(
                f"Expected records of one layout in '{self.path}', found {stored} there and {layout} now. Go on with "
                "the settings and data that the run began with, or choose another --run folder."
            )
        with self.path.open("ab") as file:
            file.write(record.tobytes())

    def forget_after(self, iteration: int) -> None:
        """Drops records beyond `iteration`, and a last one that was cut short; the layout too if none is left."""
        found = self.read()
        kept = int((found[1]["iteration"] <= iteration).sum()) if found else 0
        if found is None or not kept:
            self.path.unlink(missing_ok=True)
            self.layout.unlink(missing_ok=True)
            return
        with self.path.open("r+b") as file:
            file.truncate(kept * found[1].dtype.itemsize)


def forget_after(path: Path, iteration: int) -> None:
    """Drops rows beyond `iteration` from an append-only file: a resumed run writes them again."""
    rows = read_json_lines(path)
    kept = [row for row in rows if row["iteration"] <= iteration]
    if path.exists():
        write_text(path, "".join(json.dumps(row) + "\n" for row in kept))
