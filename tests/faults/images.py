"""Folders and tars of images as people have them: taken as a whole, or told of in the words that belong to each."""

import os
import random
import shutil
import struct
import tarfile
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from faults.forks import Child
from faults.refusals import answered, refused, with_damage
from faults.subject import words_of
from faults.trials import Attempt, Outcome
from srgan.cli.main import main

CUT_SHORT = ["--trainer.limit_train_batches", "4", "--trainer.max_epochs", "1"]
ALL = "8 images of 2 classes from 8 files"


class Case(NamedTuple):
    """A folder of images with something odd, and what two commands are to make of it.

    Attributes:
        way: makes it of a sound folder.
        fit: exit status of a run and what it says; None where that is not tried.
        prepare: of `srgan prepare`.
    """

    way: Callable[[Path], object]
    fit: tuple[int, str]
    prepare: tuple[int, str]


def _victim(root: Path) -> Path:
    return root / "class 0" / "0.png"


def _instead(target: str) -> Callable[[Path], object]:
    """A link in the place of a file."""

    def way(root: Path) -> None:
        _victim(root).unlink()
        _victim(root).symlink_to(target)

    return way


def _holding(content: bytes, names: str = "class 0/0.png") -> Callable[[Path], object]:
    """Other bytes in the files that fit a pattern, or in a new one."""

    def way(root: Path) -> None:
        for path in list(root.glob(names)) or [root / names]:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    return way


def _pipe(root: Path) -> None:
    _victim(root).unlink()
    os.mkfifo(_victim(root))


def _renamed(root: Path) -> None:
    for path, name in zip(sorted(root.rglob("*.png")), ("0.jfif", "2", "4.jpg?w=200", "6.PNG ") * 2, strict=True):
        path.rename(path.with_name(name))


def _as_kaggle(root: Path) -> None:
    (root / "train").mkdir()
    for name in ("class 0", "class 1"):
        (root / name).rename(root / "train" / name)
    _holding(png_of(8), "test/1.png")(root)


def _linked(root: Path) -> None:
    shutil.move(root / "class 0", root.with_name("elsewhere"))
    (root / "class 0").symlink_to(root.with_name("elsewhere"))


def _dark(root: Path) -> None:
    for path in root.rglob("*.png"):
        Image.fromarray(np.asarray(Image.open(path)) // 16).save(path)


def _merged(root: Path) -> None:
    for path in (root / "class 0").iterdir():
        path.replace(root / "class 1" / path.name)
    (root / "class 0").rmdir()


def _flat(root: Path) -> None:
    for path in root.rglob("*.png"):
        path.replace(root / path.name)
    for folder in ("class 0", "class 1"):
        (root / folder).rmdir()


def png_of(side: int, rows: bytes = bytes(10), before: bytes = b"") -> bytes:
    """A picture that says how large it is, and may be less."""
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    body = rows if side > 1000 else bytes(side * (side + 1))
    parts = [_chunk(b"IHDR", header), before, _chunk(b"IDAT", zlib.compress(body)), _chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


TEXT = _chunk(b"iTXt", b"workflow\0\1\0\0\0" + zlib.compress(bytes(5_000_000)))
NO_FILE, NO_IMAGE = r"0\.png.*not a regular file", r"0\.png.*not an image of a known format"
CASES = {
    "pipe": Case(_pipe, (2, NO_FILE), (1, NO_FILE)),
    "device": Case(_instead("/dev/zero"), (2, NO_FILE), (1, NO_FILE)),
    "dangling link": Case(_instead("nowhere"), (2, r"0\.png.*No such file"), (1, r"0\.png: No such file")),
    "link to itself": Case(_instead("0.png"), (2, r"Too many levels.*0\.png"), (2, r"Too many levels.*0\.png")),
    "empty file": Case(_holding(b""), (2, r"0\.png.*the file is empty"), (1, r"0\.png: the file is empty")),
    "cut file": Case(lambda root: os.truncate(_victim(root), 60), (2, r"Cannot read.*0\.png"), (1, r"0\.png: ")),
    "huge file": Case(
        lambda root: os.truncate(_victim(root), 1 << 40),
        (2, r"0\.png.*larger than any"),
        (1, r"0\.png.*larger than any"),
    ),
    "bomb": Case(_holding(png_of(50_000)), (2, r"0\.png.*exceeds limit"), (1, r"0\.png.*exceeds limit")),
    "small bomb": Case(
        _holding(png_of(11_000)), (2, r"0\.png.*121 million pixels in 0 kB"), (1, r"0\.png.*121 million pixels in 0 kB")
    ),
    "text in an image": Case(_holding(png_of(8, before=TEXT)), (0, "finished"), (0, ALL)),
    "no image among images": Case(
        _holding(b"words"),
        (0, f"left out 1 file, 'class 0/{NO_IMAGE}"),
        (1, r"7 images.*\n.*unreadable: 1\n.*0\.png"),
    ),
    "class of no images": Case(
        _holding(b"words", "class 0/*"), (2, "found none in 'class 0': of 4 files"), (2, "found none in 'class 0'")
    ),
    "stray file": Case(
        _holding(png_of(8), "stray.png"), (0, r"'stray\.png' for one: in no class folder"), (0, "in no class folder: 1")
    ),
    "other suffixes": Case(_renamed, (0, "finished"), (0, ALL)),
    "linked class": Case(_linked, (0, "finished"), (0, ALL)),
    "folder of the file system": Case(lambda root: (root / "lost+found").mkdir(), (0, "finished"), (0, ALL)),
    "test images of no class": Case(_as_kaggle, (0, r"left out 1 file, 'test/1\.png'"), (0, ALL)),
    "dark images": Case(_dark, (0, "nearly black: no value is above 15 of 255"), (0, "nearly black")),
    "one class": Case(
        _merged, (2, "at least two classes.*--scores.every 0"), (0, "8 images of 1 classes from 8 files")
    ),
    "no classes": Case(
        _flat, (2, "at least two classes.*--scores.every 0"), (2, "Expected images at .*<class>/<image>")
    ),
    "no files": Case(
        lambda root: list(map(os.remove, root.rglob("*.png"))),
        (2, "found the empty folder"),
        (2, "found the empty folder"),
    ),
}
"""Of folders."""


def _sound(root: Path) -> Path:
    """Eight images in two classes."""
    for number, pixels in enumerate(np.random.default_rng(0).integers(0, 256, (8, 8, 8, 3), dtype=np.uint8)):
        path = root / f"class {number % 2}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    return root


def fit_on(folder: Path, source: Path, *options: str) -> Callable[[], int]:
    """A run on images in files."""
    data = ["--data", "srgan.data.FolderData", "--data.init_args.path", str(source)]
    return lambda: main(["fit", *words_of(folder), *data, *options])


def odd_images(attempt: Attempt) -> Outcome:
    """Folders, one after the other for either command; then tars."""
    root = _sound(attempt.folder.with_name("images"))
    cases = [(name, command) for name in CASES for command in ("fit", "prepare")]
    actions = {"fit": fit_on(attempt.folder, root), "prepare": _preparing(root)}
    if attempt.number % 66 < len(cases):
        name, command = cases[attempt.number % 66]
        CASES[name].way(root)
        return answered(actions[command], f"{command}, {name}", *getattr(CASES[name], command))
    name = list(ARCHIVES)[attempt.number % len(ARCHIVES)]
    tar = root.with_name("images.tar")
    with tarfile.open(tar, "w") as archive:
        archive.add(root, ".")
    says, must_be = ARCHIVES[name](tar, attempt.draw)
    action = attempt.draw.choice([fit_on(attempt.folder, tar), _preparing(tar)])
    return refused(action, name, says, must_be)


def _preparing(source: Path) -> Callable[[], int]:
    out = source.with_name("out")
    return lambda: main(["prepare", str(source), str(out), "--image-size", "8"])


def _cut(tar: Path, draw: random.Random) -> tuple[str, bool]:
    """Anywhere before its end; half of them in a header, which looks like the end."""
    with tarfile.open(tar) as archive:
        members = archive.getmembers()
    end = members[-1].offset_data + 512
    os.truncate(tar, draw.choice([draw.randrange(1, end), draw.choice(members[1:]).offset + draw.randrange(512)]))
    return r"whole tar file.*images\.tar", True


def _damaged(tar: Path, draw: random.Random) -> tuple[str, bool]:
    tar.write_bytes(with_damage(tar.read_bytes(), draw))
    return r"images\.tar|\.png|class", False


def _zipped(tar: Path, draw: random.Random) -> tuple[str, bool]:
    shutil.make_archive(str(tar), "zip", tar.with_name("images"))
    tar.with_name("images.tar.zip").replace(tar)
    return "it is a zip file", True


def _huge(tar: Path, draw: random.Random) -> tuple[str, bool]:
    member = tarfile.TarInfo("class/huge.png")
    member.size = 1 << 40
    tar.write_bytes(member.tobuf(tarfile.GNU_FORMAT))
    os.truncate(tar, (1 << 40) + 2048)
    return r"huge\.png.*larger than any photograph", True


ARCHIVES: dict[str, Callable[[Path, random.Random], tuple[str, bool]]] = {
    "tar that was cut short": _cut,
    "damaged tar": _damaged,
    "tar that was cut short, again": _cut,
    "zip file": _zipped,
    "tar with a huge member": _huge,
}
"""What becomes of a sound tar; returns what is said of it, and whether it must be refused."""


def changed_images(attempt: Attempt) -> Outcome:
    """A run that was stopped, and whose images then changed, goes on with no others; with a copy of them, it does."""
    root = _sound(attempt.folder.with_name("images"))
    Child(fit_on(attempt.folder, root, *CUT_SHORT)).wait()
    moved = Path(shutil.copytree(root, root.with_name("moved"), copy_function=shutil.copyfile))
    ways: list[Callable[[], object]] = [
        lambda: None,
        partial(_holding(png_of(8)), moved),
        lambda: _victim(moved).rename(moved / "class 1" / "new.png"),
        lambda: _victim(moved).unlink(),
        lambda: _holding(png_of(8), "class 1/new.png")(moved),
        lambda: _dark(moved),
    ]
    number = attempt.number % len(ways)
    ways[number]()
    action = fit_on(attempt.folder, moved)
    if not number:
        return answered(action, "a copy of the images", 0, "finished")
    return answered(
        action, f"images changed, way {number}", 2, "Expected the images that the checkpoint was trained on"
    )
