"""Sample grids as small WebP files, within a budget."""

import base64
import io
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from srgan.utils.downsampling import kept_times

LARGEST_SIDE = 528  # pixels of a grid
QUALITY = 80


def sample_strip(
    pictures: Mapping[int, Path], image_size: int, required: Iterable[int | None], budget: int
) -> dict[int, str]:
    """Encodes as many of a run's grids as fit: iteration -> data URL, in order.

    Args:
        pictures: iteration -> PNG; unreadable ones are left out.
        image_size: in pixels. Images of 32 and less are enlarged in the grid, so that half its width holds all.
        required: iterations whose grid, the one at or before them, stays.
        budget: bytes of all WebP files together.
    """
    encoded = {t: picture for t in sorted(pictures) if (picture := _encoded(pictures[t], image_size))}
    if not encoded:
        return {}
    times = np.array(list(encoded))
    for most in range(max(len(times), 2), 1, -1):
        kept = times[kept_times(times, most, required)].tolist()
        if sum(len(encoded[t]) for t in kept) <= budget:
            break
    return {t: data_url(encoded[t], "webp") for t in kept}


def grid_data_url(path: Path, image_size: int) -> str | None:
    """A grid of images of so many pixels as a data URL; None if it is missing or cut short."""
    picture = _encoded(path, image_size)
    return None if picture is None else data_url(picture, "webp")


def data_url(picture: bytes, kind: str) -> str:
    """A picture inside a page; kind: "webp" or "png"."""
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"


def _encoded(path: Path, image_size: int) -> bytes | None:
    """A recorded grid as a WebP file; None where it is cut short."""
    try:
        with Image.open(path) as opened:
            picture = opened.convert("RGB")
    except OSError:
        return None
    if image_size <= 32:
        picture = picture.reduce(2)
    picture.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
    file = io.BytesIO()
    picture.save(file, "WEBP", quality=QUALITY)
    return file.getvalue()
