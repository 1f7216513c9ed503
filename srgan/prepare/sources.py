"""What there is to prepare: every file of one split with its class, in an order that depends on the names only."""

import hashlib
import os
import sys
import tarfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

SPLITS = ("train", "val", "test")
MAX_BYTES = 1 << 28


class Source(NamedTuple):
    """One file.

    Attributes:
        class_name: the folder that says what it shows.
        path: inside ROOT.
        start, length: of its bytes inside ROOT, in bytes, where ROOT is a tar file; else 0 and -1, to the end.
    """

    class_name: str
    path: str
    start: int = 0
    length: int = -1


class Listing(NamedTuple):
    """Sources sorted by class, then path, and the paths of files that belong to no class or are hidden."""

    sources: list[Source]
    ignored: list[str]

    def digest(self) -> str:
        """Names the list: classes, paths and places in the tar file."""
        digest = hashlib.blake2b(digest_size=16)
        for source in self.sources:
            digest.update("\0".join(map(str, source)).encode(errors="surrogateescape") + b"\n")
        return digest.hexdigest()


def read_source(root: Path, source: Source) -> bytes:
    """The bytes of one file.

    Raises:
        OSError: it cannot be read, is larger than any photograph, or is no file (reading a pipe would wait for ever).
    """
    in_tar = source.length >= 0
    path = root if in_tar else root / source.path
    length = source.length if in_tar else path.stat().st_size
    if not path.is_file():
        raise OSError("not a regular file")
    if length > MAX_BYTES:
        raise OSError(f"{length / 1e6:,.0f} MB, larger than any photograph")
    with path.open("rb") as file:
        file.seek(source.start)
        return file.read(length)


def refuse_missing(root: Path) -> None:
    """Raises FileNotFoundError where there is nothing at `root`."""
    if not root.exists():
        raise FileNotFoundError(f"Expected a folder or tar file of images at '{root.resolve()}', found nothing.")


def list_sources(root: Path, split: str, found: Callable[[int], None] = lambda count: None) -> Listing:
    """Lists ROOT: a folder, or a tar file that is not compressed, of `<split>/<class>/<image>` or `<class>/<image>`.

    Args:
        root: ROOT. The official archives of ImageNet, a tar file of one tar file per class, are a tar file too.
        split: name of the split's folder.
        found: is told the number of files now and then.

    Raises:
        FileNotFoundError: there is nothing at `root`.
        ValueError: no images, no such split, a class without files, two classes of one name, or not a whole tar file.
        OSError: a folder that cannot be read.
    """
    refuse_missing(root)
    entries = _of_folder(root, split) if root.is_dir() else _of_tar(root)
    by_layout: dict[bool, list[Source]] = {True: [], False: []}  # below a folder of a split, or not
    ignored: list[str] = []
    names: dict[str, str] = {}
    for count, entry in enumerate(entries, start=1):
        place = place_of(entry.path, split)
        if place is None:
            ignored.append(entry.path)
        elif place.class_name is not None:
            name = names.setdefault(place.class_name, sys.intern(place.class_name))
            by_layout[place.in_split].append(entry._replace(class_name=name))
        if count % 1000 == 0:
            found(count)
    sources = by_layout[True] or by_layout[False]
    if not sources:
        raise ValueError(
            f"Expected images at {split}/<class>/<image> or <class>/<image> in '{root}', found none. "
            "Is this the folder right above the classes, and the split right (--split)?"
        )
    if by_layout[True]:
        ignored += [source.path for source in by_layout[False]]
    else:
        refuse_merged_classes(root, {(source.class_name, source.path.rpartition("/")[0]) for source in sources})
    latest = {(source.class_name, source.path): source for source in sources}  # a tar file may hold newer versions
    return Listing([latest[key] for key in sorted(latest)], sorted(ignored))


def refuse_merged_classes(root: Path, class_folders: Iterable[tuple[str, str]]) -> None:
    """Without a folder of a split the innermost folder is the class: cat/2019 and dog/2019 would become one, "2019".

    Args:
        root: ROOT.
        class_folders: names of classes, and the folders inside ROOT that gave them.

    Raises:
        ValueError: two folders give one class.
    """
    found: dict[str, PurePosixPath] = {}
    for class_name, folder in sorted(class_folders):
        first = found.setdefault(class_name, PurePosixPath(folder))
        if first != PurePosixPath(folder):
            raise ValueError(
                f"Expected one folder for each class in '{root}', found '{first}' and '{folder}'. "
                "Move the classes below a folder train/, where subfolders of a class are allowed."
            )


class Place(NamedTuple):
    """A file's class, None for a file of another split, and whether it lies below a folder of a split."""

    class_name: str | None
    in_split: bool


def place_of(path: str, split: str) -> Place | None:
    """Where a path inside ROOT belongs; None for hidden files and those outside of any class folder."""
    parts = [part for part in path.split("/") if part != "."]
    if any(part.startswith(".") for part in parts):
        return None
    for k, part in enumerate(parts[:-1]):
        if part in (split, *SPLITS):
            if part != split:
                return Place(None, True)
            return Place(parts[k + 1], True) if len(parts) > k + 2 else None
    return Place(parts[-2], False) if len(parts) > 1 else None


def _of_folder(root: Path, split: str) -> Iterator[Source]:
    """Every file below ROOT/<split>, or below ROOT where it has no folders of splits.

    Links to folders are followed, save those to a folder that they lie in: it is listed already, and again for ever.

    Raises:
        ValueError: ROOT has other splits only, or a class folder is empty.
    """
    others = [name for name in SPLITS if (root / name).is_dir()]
    base = root / split
    if not base.is_dir():
        if others:
            raise ValueError(
                f"Expected a folder '{split}' in '{root}', found {', '.join(others)}. Choose with --split."
            )
        base = root
    around = {base: {_identity(root), _identity(base)}}  # of each folder to come: itself and those it lies in
    for folder, folders, files in os.walk(base, followlinks=True, onerror=_refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        if not folders and not files:
            raise ValueError(f"Expected images in every class, found the empty folder '{folder}'. Fill or remove it.")
        lineage = around.pop(Path(folder))
        identities = {name: _identity(Path(folder, name)) for name in folders}
        folders[:] = [name for name in folders if identities[name] not in lineage]
        around |= {Path(folder, name): lineage | {identities[name]} for name in folders}
        inner = PurePosixPath(Path(folder).relative_to(root).as_posix())
        for name in files:
            yield Source("", str(inner / name))


def _identity(folder: Path) -> tuple[int, int]:
    """The same for every path to one folder."""
    found = folder.stat()
    return found.st_dev, found.st_ino


def _refuse(error: OSError) -> None:
    """Folders that cannot be listed must not go missing silently."""
    raise error


def _of_tar(root: Path) -> Iterator[Source]:
    """Every file of a tar file and of the tar files in it.

    Raises:
        ValueError: compressed, cut short, or not a tar file.
    """
    try:
        with root.open("rb") as file:
            yield from _members(file, 0, PurePosixPath())
    except tarfile.TarError as error:
        raise ValueError(
            f"Expected a folder or a whole tar file that is not compressed, cannot read '{root}': {error}. "
            "Unpack it and name the folder."
        ) from error


def _members(file: IO[bytes], offset: int, folder: PurePosixPath) -> Iterator[Source]:
    """Files of the tar file that starts at byte `offset` of ROOT; `n01440764.tar` counts as a folder `n01440764`."""
    with tarfile.open(fileobj=file, mode="r:") as archive:
        while (member := archive.next()) is not None:
            archive.members.clear()  # type: ignore[attr-defined]  # else a million headers stay in memory
            path = folder / member.name
            if member.isfile() and path.suffix == ".tar":
                inner = archive.extractfile(member)
                assert inner is not None
                yield from _members(inner, offset + member.offset_data, path.with_suffix(""))
            elif member.isfile() and not member.issparse():
                yield Source("", str(path), offset + member.offset_data, member.size)
