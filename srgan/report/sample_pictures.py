"""Sample grids, small: at their native resolution, as WebP, within a budget."""

import base64
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from srgan.report.thinning import kept_times

QUALITIES = (100, 85, 70, 55, 40)
"""From the best that fits; 100 is lossless. Below 40 grids are left out instead."""

LARGEST_SIDE = 528  # pixels
GAP = 2  # pixels between images in the recorded grids
PROBES = 3


@dataclass(frozen=True)
class SampleStrip:
    """Sample grids over time.

    Attributes:
        iterations: of the grids.
        pictures: base64 of their WebP files, in the same order.
        recorded: how many grids the run holds.
        quality: of the encoding, 100 is lossless.
    """

    iterations: list[int]
    pictures: list[str]
    recorded: int
    quality: int


def sample_strip(
    pictures: Mapping[int, Path], config: Mapping[str, Any], required: Iterable[int | None], budget: int
) -> SampleStrip:
    """Encodes as many grids as fit; times are thinned out only where the lowest quality is too large.

    Args:
        pictures: iteration -> PNG; one that cannot be read is left out.
        config: of the run: image size and images per side.
        required: iterations whose grid, the one at or before them, stays.
        budget: bytes of all WebP files together.
    """
    size = config.get("data", {}).get("init_args", {}).get("image_size", 0)
    rows = config.get("samples", {}).get("rows", 8)
    grids = {t: grid for t in sorted(pictures) if (grid := _opened(pictures[t], size, rows))}
    if not grids:
        return SampleStrip([], [], len(pictures), 100)
    times = np.array(list(grids))
    probes = times[kept_times(times, PROBES)].tolist()
    for quality in QUALITIES:
        mean_size = sum(len(encode(grids[t], quality)) for t in probes) / len(probes)
        if mean_size * len(times) <= budget:
            break
    kept = times[kept_times(times, max(int(budget / mean_size), 2), required)].tolist()
    encoded = [base64.b64encode(encode(grids[t], quality)).decode() for t in kept]
    return SampleStrip(kept, encoded, len(pictures), quality)


def native(picture: Image.Image, image_size: int, rows: int) -> Image.Image:
    """A recorded grid without its enlargement, one pixel between images; at most LARGEST_SIDE pixels wide.

    A grid of another layout than `image_size` and `rows` promise is only shrunk.
    """
    tile = (picture.width - GAP) // rows - GAP
    if image_size and tile % image_size == 0 and picture.size == (rows * (tile + GAP) + GAP,) * 2:
        pixels = np.asarray(picture)
        small = np.full((rows * (image_size + 1) - 1,) * 2 + (3,), 255, np.uint8)
        for row in range(rows):
            for column in range(rows):
                top, left = (GAP + place * (tile + GAP) for place in (row, column))
                inside = pixels[top : top + tile, left : left + tile][:: tile // image_size, :: tile // image_size]
                y, x = row * (image_size + 1), column * (image_size + 1)
                small[y : y + image_size, x : x + image_size] = inside
        picture = Image.fromarray(small)
    if picture.width > LARGEST_SIDE:
        height = round(picture.height * LARGEST_SIDE / picture.width)
        picture = picture.resize((LARGEST_SIDE, height), Image.Resampling.LANCZOS)
    return picture


def encode(picture: Image.Image, quality: int) -> bytes:
    """As a WebP file; quality 100 is lossless."""
    file = io.BytesIO()
    lossless = quality == 100
    picture.save(file, "WEBP", lossless=lossless, quality=50 if lossless else quality, method=4)
    return file.getvalue()


def _opened(path: Path, image_size: int, rows: int) -> Image.Image | None:
    """A recorded grid at native resolution; None where the file is cut short."""
    try:
        with Image.open(path) as picture:
            return native(picture.convert("RGB"), image_size, rows)
    except OSError:
        return None
