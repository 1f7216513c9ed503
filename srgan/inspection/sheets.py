"""What `srgan sample` draws: points and classes in rows, as a grid or an animation."""

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from srgan.checkpoints.pretrained import TrainedGAN, load, rendered
from srgan.inspection.animations import write_animation
from srgan.inspection.image_export import export
from srgan.inspection.latents import along_dimensions, walks
from srgan.networks.sampling import GRID_SEED, check_threshold
from srgan.utils.files import write_atomically
from srgan.utils.images import PADDING, grid_picture, quantize
from srgan.utils.progress import Progress

MAX_COORDINATE = 2.0  # to which one dimension goes, in standard deviations
POINTS_OF_AN_ANIMATION = 4
DEFAULT_COLUMNS = 9
FONT_SIZE = 13  # pixels


class Sheet(NamedTuple):
    """R rows of T images: z `[R, T, d]`, labels `[R, T]`, and the names of rows, if they have any."""

    z: Tensor
    labels: Tensor
    names: list[str]


def make(options: argparse.Namespace, path: Path) -> str:
    """Writes single images for other tools, a picture or an animation; says what it wrote.

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
    if options.walk or options.dimension or classes:
        parts = rendered(stored.network(), sheet.z.flatten(0, 1), sheet.labels.flatten())
    else:  # one batch, as the run drew it
        parts = rendered(stored.batch_network(None), sheet.z.flatten(0, 1), sheet.labels.flatten(), rows * columns)
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
    values = torch.linspace(
        -MAX_COORDINATE, MAX_COORDINATE, options.frames if moves else options.columns or DEFAULT_COLUMNS
    )
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
