"""Folders and tars of images that are none."""

import os
import shutil
import struct
import tarfile
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from faults.refusals import refused, with_damage
from faults.subject import run_of
from faults.trials import Attempt, Outcome
from srgan.cli import main


def odd_images(attempt: Attempt) -> Outcome:
    """Folders and tars of images that are none."""
    draw, root = attempt.draw, attempt.folder.with_name("images")
    pixels = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)
    for number, image in enumerate(pixels):
        path = root / f"class {number % 2}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    victim = root / "class 0" / "0.png"
    others = {"pipe": None, "dangling": "nowhere", "loop": "0.png", "device": "/dev/zero"}
    ways: dict[str, Callable[[], object]] = {
        **{name: partial(_put_instead, victim, target) for name, target in others.items()},
        "empty": lambda: victim.write_bytes(b""),
        "text": lambda: victim.write_bytes(b"no image"),
        "cut": lambda: victim.write_bytes(victim.read_bytes()[:60]),
        "huge": lambda: os.truncate(victim, 1 << 40),
        "bomb": lambda: victim.write_bytes(_png_of(50_000)),
        "nothing": lambda: shutil.rmtree(root / "class 0"),
        "no classes": lambda: [path.replace(root / path.name) for path in root.rglob("*.png")],
        "none": lambda: list(map(os.remove, root.rglob("*.png"))),
    }
    way = list(ways)[attempt.number % len(ways)]
    ways[way]()
    source, command = root, draw.choice(["fit", "prepare"])
    if way not in ("pipe", "device", "loop", "huge", "dangling") and draw.random() < 0.4:
        source = root.with_name("images.tar")
        with tarfile.open(source, "w") as archive:
            archive.add(root, ".")
        if draw.random() < 0.5:
            source.write_bytes(with_damage(source.read_bytes(), draw))
    elif draw.random() < 0.15:
        source, way = _tar_with_a_huge_member(root.with_name("huge.tar")), "huge member"
    data = ["--data", "srgan.data.FolderData", "--data.init_args.path", str(source)]
    words = {
        "fit": [*run_of(attempt.folder).fit_arguments(), *data],
        "prepare": ["imagenet", str(source), str(root.with_name("out")), "--image-size", "8"],
    }[command]
    return refused(lambda: main([command, *words]), f"{command}, {source.suffix or 'folder'}, {way}", must_be=False)


def _put_instead(path: Path, target: str | None) -> None:
    """A link in the place of a file, or a pipe."""
    path.unlink()
    if target is None:
        os.mkfifo(path)
    else:
        path.symlink_to(target)


def _png_of(side: int) -> bytes:
    """A picture that says it is large, and is not."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(10))) + chunk(b"IEND", b"")
    )


def _tar_with_a_huge_member(path: Path) -> Path:
    member = tarfile.TarInfo("class/huge.png")
    member.size = 1 << 40
    path.write_bytes(member.tobuf(tarfile.GNU_FORMAT))
    os.truncate(path, (1 << 40) + 1024)
    return path
