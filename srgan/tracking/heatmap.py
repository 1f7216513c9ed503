"""The spectra of all layers over all of a run as one picture, for dashboards that show many runs. No torch in here.

Drawn pixel by pixel, in milliseconds: it is made while training waits, at every evaluation.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

COLUMNS = 5
PANEL = (150, 110)  # width and height in pixels
GAP, TITLE, TICKS = 14, 20, 18
LEFT, RIGHT = 46, 96
INK = "black"


def heat_map(iterations: Sequence[int], spectra: Mapping[str, Sequence[np.ndarray]]) -> Image.Image:
    """A panel per layer: iterations to the right, k / N upwards, sigma_k / sigma_1 as brightness from 0 to 1.

    Args:
        iterations: `[T]`, increasing.
        spectra: layer -> T spectra `[P]` of evenly spread k.
    """
    width, height = PANEL
    columns = min(COLUMNS, len(spectra))
    rows = -(-len(spectra) // columns)
    size = (LEFT + columns * (width + GAP) + RIGHT, rows * (TITLE + height + GAP) + TICKS)
    picture = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(picture)
    shown = _columns_of(np.asarray(iterations), width)
    for place, (name, layer) in enumerate(spectra.items()):
        left = LEFT + (place % columns) * (width + GAP)
        top = TITLE + (place // columns) * (TITLE + height + GAP)
        lines = np.linspace(0, len(layer[0]), height, endpoint=False).astype(int)
        values = np.stack([layer[t] for t in shown], axis=1)[lines[::-1]]  # [height, width], k upwards
        picture.paste(Image.fromarray(_colours()[(255 * values.clip(0, 1)).round().astype(int)]), (left, top))
        draw.text((left + width // 2, top - 3), name, INK, _font(12), "mb")
        if place % columns == 0:
            for label, y, anchor in (("1", top, "rt"), ("k / N", top + height // 2, "rm"), ("0", top + height, "rb")):
                draw.text((left - 5, y), label, INK, _font(11), anchor)
        if place + columns >= len(spectra):  # nothing below
            draw.text((left, top + height + 3), f"{iterations[0]:,}", INK, _font(11), "lt")
            if len(iterations) > 1:
                draw.text((left + width, top + height + 3), f"{iterations[-1]:,}", INK, _font(11), "rt")
    draw.text((LEFT + columns * (width + GAP) // 2, size[1] - 3), "iteration", INK, _font(11), "mb")
    left = LEFT + columns * (width + GAP) + 6
    scale = np.repeat(_colours()[np.linspace(255, 0, height).round().astype(int)][:, None], 12, axis=1)
    picture.paste(Image.fromarray(scale), (left, TITLE))
    for label, y in (("1", TITLE), ("σₖ / σ₁", TITLE + height // 2), ("0", TITLE + height)):
        draw.text((left + 18, y), label, INK, _font(11), "lm")
    return picture


def _columns_of(iterations: np.ndarray, width: int) -> np.ndarray:
    """The last record at or before each of `width` even steps of time: `[width]` indices."""
    times = np.linspace(iterations[0], iterations[-1], width)
    return np.searchsorted(iterations, times, side="right") - 1


@lru_cache
def _colours() -> np.ndarray:
    """Viridis, dark (0) to light (1): `[256, 3]` uint8."""
    colours: np.ndarray = matplotlib.colormaps["viridis"](np.arange(256), bytes=True)[:, :3].copy()
    return colours


@lru_cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which comes with matplotlib: the same picture on every machine."""
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", size)
