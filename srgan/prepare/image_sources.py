"""Folders and tars of images: every file with its class and split, in an order that depends on the names only."""

import hashlib
import lzma
import os
import sys
import tarfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple, cast
from zipfile import is_zipfile

from srgan.utils.progress import Progress

SPLITS = ("train", "val", "test")
OF_THE_SYSTEM = "lost+found"  # at the root of a disk
MAX_BYTES = 1 << 28  # of one image file; a larger one is no photograph


class Source(NamedTuple):
    """One file, its path below ROOT, and its class and split by the folders around it.

    Its bytes start at `start` in a ROOT that is a tar file; in a folder its `length` is -1.
    """

    class_name: str
    path: str
    start: int = 0
    length: int = -1
    split: str | None = None

    def read(self, root: Path, archive: IO[bytes] | None = None) -> bytes:
        """Its bytes; OSError if it cannot be read, is too large, or is no file (reading a pipe would never end)."""
        in_tar = self.length >= 0
        path = root if in_tar else root / self.path
        length = self.length if in_tar else path.stat().st_size
        if not path.is_file():
            raise OSError("not a regular file")
        if length > MAX_BYTES:
            raise OSError(f"{length / 1e6:,.0f} MB, larger than any photograph")
        with ExitStack() as files:
            file = archive or files.enter_context(path.open("rb"))
            file.seek(self.start)
            return file.read(length)


class Listing(NamedTuple):
    """Sources sorted by class, then path, and the paths of files that belong to no class or are hidden."""

    sources: list[Source]
    ignored: list[str]

    @property
    def classes(self) -> list[str]:
        """Names, in the order of the labels."""
        return list(dict.fromkeys(source.class_name for source in self.sources))

    def digest(self) -> str:
        """Names the list: classes, paths and places in the tar file."""
        digest = hashlib.blake2b(digest_size=16)
        for source in self.sources:
            digest.update("\0".join(map(str, source[:4])).encode(errors="surrogateescape") + b"\n")
        return digest.hexdigest()


def list_sources(root: Path, splits: Sequence[str], compressed: bool = False, classless: bool = False) -> Listing:
    """Lists a folder or tar file `root` of `<split>/<class>/<image>` or `<class>/<image>`, also ImageNet's own archive.

    If there are folders of splits, that of the first of `splits` is required. A tar file may be `compressed`, so that
    it can only be read in order. `classless` images may all lie outside of class folders; their class is then "".

    ValueError for no images, no such split, a class without files, two classes of one name, or not a whole tar file;
    OSError for a folder that cannot be read.
    """
    by_layout: dict[bool, list[Source]] = {True: [], False: []}  # below a folder of a split, or not
    ignored: list[str] = []
    with Progress(f"listing the files of {str(root)!r}", None) as progress:
        for count, entry in enumerate(_of_folder(root, splits) if root.is_dir() else _of_tar(root, compressed)):
            if (place := place_of(entry.path, splits, classless)) is None:
                ignored.append(entry.path)
            elif place[0] is not None:
                source = entry._replace(class_name=sys.intern(place[0]), split=place[1])
                by_layout[source.split is not None].append(source)
            if count % 1000 == 999:
                progress.update(1000)
    sources = by_layout[True] or by_layout[False]
    if any(source.class_name for source in sources if source.split in (None, splits[0])):
        ignored += [source.path for source in sources if not source.class_name]
        sources = [source for source in sources if source.class_name]
    if not sources or (by_layout[True] and all(source.split != splits[0] for source in sources)):
        flat = "" if classless else " Images of no class go into one folder: <class>/<image>."
        raise ValueError(
            f"Expected images at {splits[0]}/<class>/<image> or <class>/<image> in '{root}', found none. "
            f"Is this the folder right above the classes? srgan prepare can choose another split (--split).{flat}"
        )
    if by_layout[True]:
        ignored += [source.path for source in by_layout[False]]
    else:
        check_merged_classes(root, {(source.class_name, source.path.rpartition("/")[0]) for source in sources})
    latest = {(source.class_name, source.path): source for source in sources}  # a tar file may hold newer versions
    return Listing([latest[key] for key in sorted(latest)], sorted(ignored))


def check_merged_classes(root: Path, class_folders: Iterable[tuple[str, str]]) -> None:
    """Without split folders the innermost folder is the class: cat/2019 and dog/2019 would become one, "2019".

    `class_folders` are names of classes and the folders in ROOT that gave them; ValueError if two gave the same.
    """
    found: dict[str, PurePosixPath] = {}
    for class_name, folder in sorted(class_folders):
        first = found.setdefault(class_name, PurePosixPath(folder))
        if first != PurePosixPath(folder):
            raise ValueError(
                f"Expected one folder for each class in '{root}', found '{first}' and '{folder}'. "
                "Move the classes below a folder train/, where subfolders of a class are allowed."
            )


def left_out(root: Path, paths: Sequence[str], why: str) -> list[str]:
    """A line about files that are left out, and why, or none; hidden ones are not mentioned."""
    seen = [path for path in paths if not any(map(is_hidden, PurePosixPath(path).parts))]
    return [f"'{root}': left out {format_files(seen)}, '{seen[0]}' for one: {why}."] if seen else []


def format_files(paths: Sequence[str]) -> str:
    return "1 file" if len(paths) == 1 else f"{len(paths):,} files"


def check_emptied_classes(root: Path, sources: Iterable[Source], reasons: Mapping[str, str]) -> None:
    """Raises ValueError where all files of a class are in `reasons`, path -> why it is left out: labels would shift."""
    of_class: dict[str, list[str]] = {}
    for source in sources:
        of_class.setdefault(source.class_name, []).append(source.path)
    emptied = [(name, paths) for name, paths in of_class.items() if reasons.keys() >= set(paths)]
    if emptied:
        name, paths = emptied[0]
        others = f" (nor in {len(emptied) - 1} other classes)" if len(emptied) > 1 else ""
        raise ValueError(
            f"Expected images in every class of '{root}', found none in '{name}'{others}: of {format_files(paths)}, "
            f"{paths[0]}: {reasons[paths[0]]}. Convert them to PNG or JPEG, or remove the class."
        )


def printable(text: str) -> str:
    """Names of files need not be UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode()


def place_of(path: str, splits: Sequence[str], classless: bool = False) -> tuple[str | None, str | None] | None:
    """The class of a path inside ROOT, None in a split that is not asked for, and its split, None outside of any.

    None for hidden files and, unless `classless`, for those in no class folder.
    """
    parts = [part for part in path.split("/") if part != "."]
    if any(map(is_hidden, parts)):
        return None
    at = next((k for k, part in enumerate(parts[:-1]) if part in (*splits, *SPLITS)), None)
    split = None if at is None else parts[at]
    if split and split not in splits:
        return None, split
    folders = parts[:-1] if at is None else parts[at + 1 : -1]
    if not folders:
        return ("", split) if classless else None
    return folders[0 if split else -1], split


def is_hidden(name: str) -> bool:
    """Whether a file or a folder of this name is hidden or belongs to the system."""
    return name.startswith(".") or name == OF_THE_SYSTEM


def _of_folder(root: Path, splits: Sequence[str]) -> Iterator[Source]:
    """Every file below the splits' folders, or below ROOT where it has none.

    Links to folders are followed, save those to a folder that they lie in. ValueError where ROOT has other splits only
    or a class folder is empty; OSError where a folder cannot be read, since it must not go missing silently.
    """
    others = [name for name in SPLITS if (root / name).is_dir()]
    present = [split for split in splits if (root / split).is_dir()]
    if others and splits[0] not in present:
        raise ValueError(
            f"Expected a folder '{splits[0]}' in '{root}', found {', '.join(others)}. Rename it; srgan "
            "prepare can also choose another one (--split)."
        )
    for split in present or [""]:
        yield from _below(root, PurePosixPath(split), frozenset([root.resolve()]))


def _below(root: Path, folder: PurePosixPath, around: frozenset[Path]) -> Iterator[Source]:
    """Every file below ROOT/folder; `around` are the real folders that it lies in."""
    with os.scandir(root / folder) as found:
        entries = [entry for entry in found if not (entry.is_dir() and is_hidden(entry.name))]
    if not entries:
        empty = root / folder
        raise ValueError(f"Expected images in every class, found the empty folder '{empty}'. Fill or remove it.")
    around |= {(root / folder).resolve()}
    for entry in entries:
        if not entry.is_dir():
            yield Source("", str(folder / entry.name))
        elif Path(entry).resolve() not in around:
            yield from _below(root, folder / entry.name, around)


@contextmanager
def opened(tar: Path, compressed: bool = True) -> Iterator[IO[bytes]]:
    """A tar file as it is before its compression."""
    with tarfile.open(tar, "r:*" if compressed else "r:") as archive:
        file = cast(IO[bytes], archive.fileobj)
        file.seek(0)
        yield file


def _of_tar(root: Path, compressed: bool) -> Iterator[Source]:
    """Every file of a tar file and of the tar files in it; ValueError if it is cut, compressed or no tar file."""
    try:
        with opened(root, compressed) as file:
            yield from _members(file, 0, PurePosixPath())
    except (tarfile.TarError, EOFError, lzma.LZMAError, zlib.error) as error:
        kind = "a whole tar file" + " that is not compressed" * (not compressed)
        reason = "it is a zip file" if is_zipfile(root) else str(error).partition(":\n")[0]
        raise ValueError(
            f"Expected a folder or {kind}, cannot read '{root}': {reason}. Unpack it and name the folder."
        ) from error


class _Header(tarfile.TarInfo):
    """A header of which the library does not take a cut or damaged one for the end of the archive."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> "_Header":
        try:
            return super().fromtarfile(archive)
        except tarfile.HeaderError as error:
            if type(error).__name__ == "EOFHeaderError":  # a block of zeros, as an archive ends
                raise
            if type(error).__name__ == "EmptyHeaderError":
                why = f"it stops at byte {archive.offset:,}, without the block of zeros that ends a tar file"
                raise tarfile.ReadError(f"{why}: it was cut short") from error
            raise tarfile.ReadError(f"it was cut short or damaged at byte {archive.offset:,} ({error})") from error


def _members(file: IO[bytes], offset: int, folder: PurePosixPath) -> Iterator[Source]:
    """Files of the tar file that starts at byte `offset` of ROOT; `n01440764.tar` counts as a folder `n01440764`."""
    with tarfile.open(fileobj=file, mode="r:", tarinfo=_Header) as archive:
        while (member := archive.next()) is not None:
            archive.members.clear()  # type: ignore[attr-defined]  # else a million headers stay in memory
            path = folder / member.name
            if member.isfile() and path.suffix == ".tar":
                inner = archive.extractfile(member)
                assert inner is not None
                yield from _members(inner, offset + member.offset_data, path.with_suffix(""))
            elif member.isfile() and not member.issparse():
                yield Source("", str(path), offset + member.offset_data, member.size)
        _check_no_more(file, archive.offset)


def _check_no_more(file: IO[bytes], end: int) -> None:
    """Raises ReadError unless only zeros follow byte `end`: readers of tar files skip the rest silently."""
    while block := file.read(1 << 20):
        if block.count(0) != len(block):
            raise tarfile.ReadError(
                f"more data follows the end of the archive at byte {end:,}, as if tar files had been joined by cat "
                "(tar --ignore-zeros unpacks all of them)"
            )
