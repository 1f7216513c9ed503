"""Images drawn from a generator as pictures, animations and files."""

import importlib.util
from collections.abc import Sequence
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor, nn

from srgan.callbacks.samples import PADDING, SMALLEST_TILE, grid_picture
from srgan.data.images import quantize
from srgan.files import write_atomically
from srgan.networks import Generator
from srgan.progress import Progress
from srgan.sampling import independent_copy

SUFFIXES = (".png", ".gif", ".mp4")
LARGEST_PICTURE = 100e6  # pixels; viewers take little more
FONT_SIZE = 13  # pixels


@torch.no_grad()
def render(network: Generator, z: Tensor, labels: Tensor, batch_size: int) -> Tensor:
    """Images `[B, 3, H, W]` uint8 of z `[B, d]` and labels `[B]`, as they are scored."""
    parts = []
    with Progress("images", len(z)) as progress:
        for some_z, some_labels in zip(z.split(batch_size), labels.split(batch_size), strict=True):
            parts.append(quantize(network(some_z, some_labels)).cpu())
            progress.advance(len(some_z))
    return torch.cat(parts)


@torch.no_grad()
def frozen_on(generator: Generator, z: Tensor, labels: Tensor) -> Generator:
    """A copy in test mode whose batch norms keep the statistics of one batch.

    So images that come in odd company, such as those of a walk, look as they do in that batch.
    """
    watched, frozen = independent_copy(generator, "batch"), independent_copy(generator, "running")
    for layer, kept in zip(watched.modules(), frozen.modules(), strict=True):
        if isinstance(kept, nn.BatchNorm2d):
            layer.register_forward_hook(partial(_keep_statistics, kept))
    watched(z, labels)
    return frozen


def _keep_statistics(kept: nn.BatchNorm2d, _: nn.Module, inputs: tuple[Tensor], __: Tensor) -> None:
    """Those that the batch was normalized by, which the running averages would be a mixture of."""
    assert kept.running_mean is not None
    assert kept.running_var is not None
    kept.running_mean.copy_(inputs[0].mean(dim=(0, 2, 3)))
    kept.running_var.copy_(inputs[0].var(dim=(0, 2, 3), unbiased=False))


def check_output(path: Path, animated: bool) -> None:
    """Refuses what could not be written after all the work.

    Raises:
        ValueError: another suffix, nothing that moves, a folder, or no PyAV.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"Expected a picture named *.png, *.gif or *.mp4, found '{path}'.")
    if path.is_dir():
        raise ValueError(f"Expected a file for --output, found the folder '{path}'.")
    if suffix != ".png" and not animated:
        raise ValueError(f"Expected something that moves for '{path}': add --walk N or --dimension d[,d...].")
    if suffix == ".mp4" and not importlib.util.find_spec("av"):
        raise ValueError(
            f"Expected the package av (PyAV), which writes '{path}', found none. "
            'Install it: pip install "srgan[video]"; or write a .gif.'
        )


def check_size(tiles: int, image_size: int) -> None:
    """Refuses a picture of so many images that no viewer opens.

    Raises:
        ValueError: it would be too large.
    """
    pixels = max(image_size, SMALLEST_TILE)
    if tiles * pixels**2 > LARGEST_PICTURE:
        raise ValueError(
            f"Expected a picture of at most {LARGEST_PICTURE / 1e6:.0f} megapixels, found {tiles:,} images of {pixels} "
            f"x {pixels}. Choose fewer rows or columns, or write single files with --images."
        )


def labelled_grid(images: Tensor, count: int, rows: Sequence[str], columns: Sequence[str]) -> Image.Image:
    """Images `[R * count, 3, H, W]` as R rows, with a name left of each row and above each column (or with none)."""
    picture = grid_picture(images, count)
    font = ImageFont.load_default(FONT_SIZE)
    left = max((int(font.getlength(name)) + 10 for name in rows), default=0)
    above = FONT_SIZE + 8 if columns else 0
    canvas = Image.new("RGB", (picture.width + left, picture.height + above), "white")
    canvas.paste(picture, (left, above))
    draw = ImageDraw.Draw(canvas)
    tile_width = (picture.width - PADDING) / count
    for place, name in enumerate(columns):
        draw.text((left + PADDING + (place + 0.5) * tile_width, above / 2), name, "black", font, anchor="mm")
    tile_height = (picture.height - PADDING) / (len(images) // count)
    for place, name in enumerate(rows):
        draw.text((left - 5, above + PADDING + (place + 0.5) * tile_height), name, "black", font, anchor="rm")
    return canvas


def frames_of(images: Tensor, columns: int) -> list[Image.Image]:
    """`[R, T, 3, H, W]` as T pictures of R tiles, `columns` in a row."""
    return [grid_picture(images[:, time], columns) for time in range(images.shape[1])]


def write_gif(frames: Sequence[Image.Image], path: Path, frames_per_second: float) -> None:
    """An animation that repeats for ever, with one palette for all its frames, so that still parts stay still."""
    some = frames[:: max(1, len(frames) // 8)]
    strip = Image.new("RGB", (frames[0].width, frames[0].height * len(some)))
    for place, frame in enumerate(some):
        strip.paste(frame, (0, place * frame.height))
    palette = strip.quantize(256, Image.Quantize.MEDIANCUT)
    first, *others = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    duration = round(1000 / frames_per_second)  # ms; GIF keeps hundredths of a second
    write_atomically(
        path,
        lambda file: first.save(file, "GIF", save_all=True, append_images=others, duration=duration, loop=0),
    )


def write_video(frames: Sequence[Image.Image], path: Path, frames_per_second: float) -> None:
    """H.264 in an MP4 file that every player and browser takes."""
    import av

    width, height = (size + size % 2 for size in frames[0].size)  # its chroma is halved

    def write(file: IO[bytes]) -> None:
        with av.open(file, "w", format="mp4") as container:
            stream = container.add_stream("libx264", rate=Fraction(frames_per_second).limit_denominator(1000))
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            stream.options = {"crf": "18"}
            for frame in frames:
                even = Image.new("RGB", (width, height), "white")
                even.paste(frame)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(np.asarray(even), format="rgb24")))
            container.mux(stream.encode())

    write_atomically(path, write)
