"""What `srgan sample` draws: points of latent space and classes in rows, as a grid, a GIF or an MP4."""

import argparse
import math
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from srgan.checkpoints.pretrained import TrainedGAN, load, rendered
from srgan.inspection.image_export import export
from srgan.networks.sampling import GRID_SEED, check_threshold
from srgan.utils.files import write_atomically
from srgan.utils.images import PADDING, grid_picture, quantize
from srgan.utils.progress import Progress

MAX_COORDINATE = 2.0  # to which one dimension goes, in standard deviations
POINTS_OF_AN_ANIMATION = 4
DEFAULT_COLUMNS = 9
FONT_SIZE = 13  # pixels
FRAMES_PER_SECOND = 20


class Sheet(NamedTuple):
    """R rows of T images: z `[R, T, d]`, labels `[R, T]`, and the names of rows, if they have any."""

    z: Tensor
    labels: Tensor
    names: list[str]


def make(options: argparse.Namespace, path: Path) -> str:
    """Writes single images for other tools, a picture or an animation; returns what it wrote, in words.

    Raises:
        ValueError: a class or a dimension that the generator does not have, or other options that do not fit it.
    """
    if options.truncation is not None:
        check_threshold(options.truncation)
    stored = load(options.checkpoint, options.ema, options.device, options.allow)
    classes = numbers(options.classes, stored.generator.num_classes, "class") if options.classes else []
    if options.export_images:
        count = export(stored, path, options.num_images, options.seed, options.truncation, classes or None)
        return f"{stored.checkpoint.title}: {count:,} images in {path}"
    moves = path.suffix.lower() != ".png"
    sheet = chosen_sheet(stored, options, classes, moves)
    rows, columns = sheet.labels.shape
    inputs = sheet.z.flatten(0, 1), sheet.labels.flatten()
    if options.walk or options.dimension or classes:
        parts = rendered(stored.network(), *inputs)
    else:  # one batch, as the run drew it
        parts = rendered(stored.batch_network(None), *inputs, rows * columns)
    drawn = []
    with Progress("images", rows * columns) as progress:
        for part in parts:
            drawn.append(quantize(part))
            progress.update(len(part))
    images = torch.cat(drawn)
    if moves:
        write_animation(images.unflatten(0, (rows, columns)), math.ceil(math.sqrt(rows)), path)
        what = f"{rows} images in {columns} frames"
    else:
        picture = labelled_grid(images, columns, sheet.names)
        write_atomically(path, lambda file: picture.save(file, "PNG"))
        what = f"{rows} x {columns} images"
    return f"{stored.checkpoint.title}: {what} of {stored.image_size} x {stored.image_size} pixels in {path}"


def chosen_sheet(stored: TrainedGAN, options: argparse.Namespace, classes: list[int], moves: bool) -> Sheet:
    if options.dimension:
        return _dimensions(stored, options, classes, moves)
    if options.walk:
        return _walks(stored, options, classes, moves)
    columns = options.columns or (DEFAULT_COLUMNS if classes else stored.grid_settings["rows"])
    if classes:
        z, _ = stored.grid_latents(columns, _seed(options), options.truncation)
        labels = z.new_tensor(classes).long()[:, None].expand(-1, columns)
        return Sheet(z.expand(len(classes), -1, -1), labels, [f"class {label}" for label in classes])
    shape = (options.rows or stored.grid_settings["rows"], columns)
    z, labels = stored.grid_latents(math.prod(shape), _seed(options), options.truncation)
    return Sheet(z.unflatten(0, shape), labels.unflatten(0, shape), [])


def _walks(stored: TrainedGAN, options: argparse.Namespace, classes: list[int], moves: bool) -> Sheet:
    """Walk j goes from image 2j of the grid to the next, or in an animation past 4j ... 4j + 3 and back."""
    points = POINTS_OF_AN_ANIMATION if moves else 2
    steps = options.frames if moves else max(1, (options.columns or DEFAULT_COLUMNS) - 1)
    z, labels = stored.grid_latents(options.walk * points, _seed(options), options.truncation)
    path = walks(z.unflatten(0, (options.walk, points)), steps, closed=moves)
    own = labels[::points]
    if classes:
        own = labels.new_tensor([classes[walk % len(classes)] for walk in range(options.walk)])
    names = [f"class {label}" for label in own.tolist()] if stored.generator.num_classes else []
    return Sheet(path, own[:, None].expand(path.shape[:2]), names)


def _dimensions(stored: TrainedGAN, options: argparse.Namespace, classes: list[int], moves: bool) -> Sheet:
    """The first image of the grid with one coordinate changed; an animation goes there and back."""
    dimensions = numbers(options.dimension, stored.generator.latent_dim, "dimension")
    if len(classes) > 1:
        raise ValueError(f"Expected one of the --classes with --dimension, found {len(classes)}.")
    (z,), (label,) = stored.grid_latents(1, _seed(options), options.truncation)
    count = options.frames if moves else options.columns or DEFAULT_COLUMNS
    values = torch.linspace(-MAX_COORDINATE, MAX_COORDINATE, count)
    if moves:
        values = torch.cat([values, values[1:-1].flip(0)])
    points = along_dimensions(z, dimensions, values)
    labels = torch.full(points.shape[:2], classes[0] if classes else int(label), device=z.device)
    return Sheet(points, labels, [f"z{dimension}" for dimension in dimensions])


def _seed(options: argparse.Namespace) -> int:
    return GRID_SEED if options.seed is None else int(options.seed)


def numbers(text: str, count: int, what: str) -> list[int]:
    """Numbers of 0 ... count - 1, from "0,3,5-7" or "all"; ValueError for anything else, or out of range."""
    if count == 0:
        raise ValueError(f"Expected a conditional generator for a {what}, found one without classes.")
    if text == "all":
        return list(range(count))
    found: list[int] = []
    try:
        for part in text.split(","):
            first, _, last = part.partition("-")
            found += range(int(first), int(last or first) + 1)
    except ValueError:
        found = []
    if not found or not all(0 <= number < count for number in found):
        raise ValueError(f"Expected each {what} in 0 ... {count - 1}, as 0,3,5-7 or all, found '{text}'.")
    return found


def labelled_grid(images: Tensor, columns: int, names: Sequence[str]) -> Image.Image:
    """Images `[R * columns, 3, H, W]` as R rows, with a name left of each (or with none)."""
    picture = grid_picture(images, columns)
    font = ImageFont.load_default(FONT_SIZE)
    left = max((int(font.getlength(name)) + 10 for name in names), default=0)
    canvas = Image.new("RGB", (picture.width + left, picture.height), "white")
    canvas.paste(picture, (left, 0))
    draw = ImageDraw.Draw(canvas)
    height = (picture.height - PADDING) / (len(images) // columns)
    for row, name in enumerate(names):
        draw.text((left - 5, PADDING + (row + 0.5) * height), name, "black", font, anchor="rm")
    return canvas


def slerp(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """Spherical interpolation (White 2016): `sin((1-t) w) / sin w a + sin(t w) / sin w b`, w the angle between a and b.

    A straight line leaves the shell of radius sqrt(d) on which nearly all of N(0, I) lies; the arc stays near it.
    Points a (t = 0) and b (t = 1) `[..., d]`, t `[T]` in [0, 1] -> `[..., T, d]`. (Anti)parallel points, between which
    no arc is singled out, are joined by a straight line.
    """
    cosine = torch.nn.functional.cosine_similarity(a, b, dim=-1).clamp(-1, 1)
    w = cosine.acos()[..., None, None]
    t = t[:, None].to(a)
    straight = w.sin() < 1e-4
    safe = torch.where(straight, torch.ones_like(w), w)
    from_a = torch.where(straight, 1 - t, ((1 - t) * safe).sin() / safe.sin())
    from_b = torch.where(straight, t, (t * safe).sin() / safe.sin())
    return from_a * a[..., None, :] + from_b * b[..., None, :]


def walks(points: Tensor, steps: int, closed: bool) -> Tensor:
    """From each of the points `[N, P, d]`, P >= 2, to the next, by `slerp` in `steps` equal steps.

    Returns:
        `[N, T, d]`, T = (P - 1) * steps + 1; a closed walk ends one step before its first point: T = P * steps.
    """
    t = torch.arange(steps, device=points.device) / steps
    legs = slerp(points, points.roll(-1, dims=1), t)  # [N, P, steps, d]
    return legs.flatten(1, 2) if closed else torch.cat([legs[:, :-1].flatten(1, 2), points[:, -1:]], dim=1)


def along_dimensions(z: Tensor, dimensions: Sequence[int], values: Tensor) -> Tensor:
    """One point with one coordinate at a time set to every value. `[d]`, `[V]` -> `[len(dimensions), V, d]`."""
    changed = z.repeat(len(dimensions), len(values), 1)
    for row, dimension in enumerate(dimensions):
        changed[row, :, dimension] = values.to(z)
    return changed


def write_animation(images: Tensor, columns: int, path: Path) -> None:
    """Images `[R, T, 3, H, W]` as T pictures of R tiles, `columns` in a row, in a *.gif or an *.mp4."""
    frames = [grid_picture(images[:, time], columns) for time in range(images.shape[1])]
    write_video(frames, path) if path.suffix.lower() == ".mp4" else write_gif(frames, path)


def write_gif(frames: Sequence[Image.Image], path: Path) -> None:
    """Repeats for ever, with one palette for all its frames, so that still parts stay still."""
    some = frames[:: max(1, len(frames) // 8)]
    strip = Image.new("RGB", (frames[0].width, frames[0].height * len(some)))
    for place, frame in enumerate(some):
        strip.paste(frame, (0, place * frame.height))
    palette = strip.quantize(256, Image.Quantize.MEDIANCUT)
    first, *others = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    duration = round(1000 / FRAMES_PER_SECOND)  # ms; GIF keeps hundredths of a second
    write_atomically(
        path, lambda file: first.save(file, "GIF", save_all=True, append_images=others, duration=duration, loop=0)
    )


def write_video(frames: Sequence[Image.Image], path: Path) -> None:
    """H.264, which every player and browser takes."""
    import av

    width, height = (size + size % 2 for size in frames[0].size)  # its chroma is halved

    def write(file: IO[bytes]) -> None:
        with av.open(file, "w", format="mp4") as container:
            stream = container.add_stream("libx264", rate=Fraction(FRAMES_PER_SECOND))
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            stream.options = {"crf": "18"}
            for frame in frames:
                even = Image.new("RGB", (width, height), "white")
                even.paste(frame)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(np.asarray(even), format="rgb24")))
            container.mux(stream.encode())

    write_atomically(path, write)
