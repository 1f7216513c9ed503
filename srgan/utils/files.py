"""Files that are never half-written, and the cache folder. No torch: reports are written with it."""

import json
import os
import shutil
import sys
import uuid
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

CHECKSUM_BYTES = 4
WINDOWS = sys.platform == "win32"
TEMPORARY = ".part"
"""Suffix of files that are being written."""


def cache_folder() -> Path:
    """`$SRGAN_CACHE`, else `$XDG_CACHE_HOME/srgan`, else `~/.cache/srgan`. Deleting it costs only time."""
    if chosen := os.environ.get("SRGAN_CACHE"):
        return expanded(chosen)
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "srgan"
    except RuntimeError as error:  # a user without an entry, as containers have them
        raise OSError("Expected a home folder for the cache, found none. Set SRGAN_CACHE to a folder.") from error


def expanded(path: str | Path) -> Path:
    """A path with `~` expanded, which shells do not do after `--option=` or in files."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise ValueError(
            f"Expected a user with a home folder in '{path}', found none. Write the whole path."
        ) from error


def write_cached(path: Path, **arrays: np.ndarray) -> None:
    """Writes named arrays into an .npz of a cache, atomically. The archive has a CRC-32 of each."""
    try:
        write_atomically(path, lambda file: np.savez(file, **cast(Any, arrays)))
    except OSError as error:
        raise OSError(f"Expected a writable cache, found: {error}. Set SRGAN_CACHE to another folder.") from error


def read_cached(path: Path, *names: str) -> dict[str, np.ndarray] | None:
    """Named arrays from a file of a cache; None if it is missing, or damaged, which is printed."""
    if not path.exists():
        return None
    try:
        with np.load(path) as stored:
            return {name: stored[name] for name in names}
    except Exception:  # damage ends in errors of any class
        print(f"'{path}' is damaged and will be recreated.", file=sys.stderr, flush=True)
        return None


@contextmanager
def file_lock(lock: Path, waiting: str) -> Iterator[None]:
    """Holds a lock file, which ends with the process. If another process holds it, prints `waiting` and waits."""
    from filelock import FileLock, Timeout  # of an extra

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


def write_atomically(
    path: Path,
    write: Callable[[IO[bytes]], object],
    before_replacing: Callable[[Path], object] = lambda written: None,
    durable: bool = True,
) -> None:
    """Writes a temporary file beside `path` and renames it: `path` has the old content or all of the new.

    If `before_replacing`, called with the complete temporary file, raises, `path` stays as it was. With `durable` it
    waits until the file is on the disk; otherwise a power cut may leave it empty.
    """
    make_folder(path.parent)
    temporary = _temporary_name(path)
    try:
        with temporary.open("wb") as file:
            write(file)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        before_replacing(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    if durable:
        flush(path.parent)


def make_folder(path: Path) -> None:
    """Creates a folder and its parents where they are missing, durably."""
    if not path.is_dir():
        make_folder(path.parent)
        path.mkdir(exist_ok=True)
        flush(path.parent)


def _temporary_name(path: Path) -> Path:
    """A unique name beside `path` for a file that is being written."""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex}{TEMPORARY}")


def flush(path: Path) -> None:
    """Waits until a file's content, or the names in a folder, are on the disk and survive a power cut."""
    if WINDOWS and path.is_dir():  # cannot be opened; the file system keeps a journal of names
        return
    handle = os.open(path, os.O_RDWR if WINDOWS else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove_temporaries(folder: Path, names: str = "*") -> None:
    """Removes temporary files that killed calls of `write_atomically` left; no process may be writing such names."""
    for path in folder.glob(f".{names}.*{TEMPORARY}"):
        path.unlink(missing_ok=True)


def atomic_link(existing: Path, name: Path) -> None:
    """Replaces `name` by a hard link to a file that is never overwritten; by a copy where links do not work."""
    temporary = _temporary_name(name)
    try:
        os.link(existing, temporary)
    except OSError:
        shutil.copyfile(existing, temporary)
        flush(temporary)
    temporary.replace(name)
    temporary.unlink(missing_ok=True)  # stays where both are names of one file already


def write_text(path: Path, text: str, durable: bool = True) -> None:
    write_atomically(path, lambda file: file.write(text.encode()), durable=durable)


def write_json(path: Path, content: Any, durable: bool = True) -> None:
    """Writes indented JSON atomically; ValueError for NaN and infinity, for which there is null."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n", durable)


def read_json(path: Path) -> dict[str, Any] | None:
    """The object that `write_json` wrote; None if there is no such file. ValueError if it is damaged."""
    if not is_file(path):
        return None
    try:
        found = json.loads(path.read_bytes())
        if not isinstance(found, dict):
            raise ValueError("no object")
    except ValueError as error:  # of JSON or of UTF-8
        raise ValueError(f"Expected '{path}' as it was written, found it damaged: {error}.") from error
    return found


def is_file(path: Path) -> bool:
    """Whether there is a file; ValueError for a folder, or a pipe, which would never end."""
    if path.exists() and not path.is_file():
        raise ValueError(f"Expected a file at '{path}', found a folder, a pipe or a device. Remove it.")
    return path.exists()


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """Rows of an append-only file, but not of an incomplete last line; empty without a file. See `parse_rows`."""
    return parse_rows((path.read_bytes() if is_file(path) else b"").rpartition(b"\n")[0], path)


def parse_rows(lines: bytes, path: Path) -> list[dict[str, Any]]:
    """The rows in complete lines of an append-only file; ValueError if one is damaged."""
    return [_checked_row(line, path) for line in lines.splitlines()]


def append_json_line(path: Path, row: dict[str, Any]) -> int:
    """Appends one row, with the checksum of its text as its last key, "crc"; returns the number of bytes."""
    make_folder(path.parent)
    text = json.dumps(row, allow_nan=False)
    with path.open("ab") as file:
        return file.write(f'{text[:-1]}, "crc": {zlib.crc32(text.encode())}}}\n'.encode())


def _checked_row(line: bytes, path: Path) -> dict[str, Any]:
    try:
        row: dict[str, Any] = json.loads(line)
        checksum = row.pop("crc", None)
        if checksum is None and line.endswith(b"}"):
            raise ValueError(
                f"Expected rows with checksums in '{path}', found one without: an earlier version of srgan wrote it, "
                "which this one does not read, or it is damaged."
            )
    except (json.JSONDecodeError, UnicodeDecodeError, AttributeError, TypeError):
        checksum = None
    if checksum is None or checksum != zlib.crc32(json.dumps(row, allow_nan=False).encode()):
        raise ValueError(f"Expected the rows of '{path}' as they were written, found a damaged one: {line[:60]!r}.")
    return row


class RecordFile:
    """A file of fixed-size binary records, each with its CRC-32, beside a JSON file that describes their layout.

    `dtype_of` makes of that file's content the numpy dtype of a record, which has a field "iteration".
    """

    def __init__(self, path: Path, dtype_of: Callable[[dict[str, Any]], np.dtype]) -> None:
        self.path, self.layout, self.dtype_of = path, path.with_suffix(".json"), dtype_of

    def read(self, first: int = 0) -> tuple[dict[str, Any], np.ndarray] | None:
        """Layout and records `[T]` from the `first` on, without an incomplete last one; None if there are none.

        ValueError if a record or the layout is damaged.
        """
        layout = read_json(self.layout)
        if layout is None or not is_file(self.path):
            return None
        try:
            dtype = self.dtype_of(layout)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"Expected '{self.layout}' as this version of srgan writes it, found it damaged or of an earlier one."
            ) from error
        size = dtype.itemsize + CHECKSUM_BYTES
        with self.path.open("rb") as file:
            file.seek(first * size)
            content = file.read()
        stored = np.dtype([("record", dtype), ("checksum", "<u4")])
        found = np.frombuffer(content[: len(content) // size * size], stored)
        for place, checksum in enumerate(found["checksum"]):
            if zlib.crc32(content[place * size : place * size + dtype.itemsize]) != checksum:
                raise ValueError(
                    f"Expected record {first + place + 1} of '{self.path}' as it was written, found it damaged."
                )
        return layout, np.ascontiguousarray(found["record"])

    def append(self, layout: dict[str, Any], record: np.ndarray) -> int:
        """Appends a record, with the first one also the layout; returns its bytes. ValueError for another layout."""
        stored = read_json(self.layout)
        if stored is None:
            write_json(self.layout, layout)
        elif stored != layout:
            raise ValueError(
                f"Expected records of one layout in '{self.path}', found {stored} there and {layout} now. Resume with "
                "the settings and data of the run's start, or choose another --run folder."
            )
        content = record.tobytes()
        with self.path.open("ab") as file:
            return file.write(content + zlib.crc32(content).to_bytes(CHECKSUM_BYTES, "little"))
