"""What is written down about a preparation: what decides the bytes, what became of the files, what a reader needs."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

import PIL
from PIL import features

from srgan.prepare.images import PIXELS
from srgan.prepare.shards import FORMAT, Shard, new_checksum
from srgan.prepare.sources import Listing


@dataclass(frozen=True)
class Preparation:
    """What to prepare.

    Attributes:
        root: folder or tar file, `<split>/<class>/<image>` or `<class>/<image>`.
        out: folder of the result.
        image_size: H = W.
        split: name of the split's folder.
    """

    root: Path
    out: Path
    image_size: int = 128
    split: str = "train"


def images_per_shard(count: int) -> int:
    """Depends on N only: at most 256 shards, so that all can be open, of 64 images or more. ImageNet: 5,005, 246 MB."""
    return max(64, ceil(count / 256))


def report_of(listing: Listing, shards: Sequence[Shard]) -> dict[str, Any]:
    """What a person reads at the end. Every file of the listing is an image or among the unreadable."""
    unreadable = [entry for shard in shards for entry in shard.unreadable]
    conversions = sum((Counter(shard.conversions) for shard in shards), Counter[str]())
    images = sum(shard.images for shard in shards)
    assert images + len(unreadable) == len(listing.sources)
    return {
        "files": len(listing.sources),
        "images": images,
        "classes": len(classes_of(shards)),
        "unreadable": unreadable,
        "ignored": listing.ignored,
        "conversions": dict(sorted(conversions.items())),
    }


def manifest_of(job: Preparation, listing: Listing, shards: Sequence[Shard]) -> dict[str, Any]:
    """What a reader needs. A function of ROOT's content and the settings: no time, no machine, no number of workers."""
    classes = classes_of(shards)
    digest = new_checksum()
    for line in [*(shard.checksum for shard in shards), *(f"{name} {count}" for name, count in classes.items())]:
        digest.update(line.encode(errors="surrogateescape") + b"\n")
    return {
        **settings_of(job, listing),
        "images": sum(shard.images for shard in shards),
        "checksum": digest.hexdigest(),
        "classes": classes,
        "shards": [
            {"file": shard.file, "images": shard.images, "bytes": shard.bytes, "checksum": shard.checksum}
            for shard in shards
        ],
    }


def classes_of(shards: Sequence[Shard]) -> dict[str, int]:
    """Images of each class, in the order of the labels; a class whose every file is unreadable has none."""
    classes: Counter[str] = Counter()
    for shard in shards:
        for name, count in shard.classes.items():
            classes[name] += count
    return dict(classes)


def settings_of(job: Preparation, listing: Listing) -> dict[str, Any]:
    """What decides the bytes."""
    return {
        "format": FORMAT,
        "image_size": job.image_size,
        "split": job.split,
        "pixels": PIXELS,
        "decoder": f"Pillow {PIL.__version__}, libjpeg-turbo {features.version('libjpeg_turbo')}",
        "files": len(listing.sources),
        "images_per_shard": images_per_shard(len(listing.sources)),
        "listing": listing.digest(),
    }
