"""What `srgan sample` draws: points and classes in rows, as a grid or an animation."""

import argparse
import math
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from srgan.callbacks.samples import GRID_SEED
from srgan.files import write_atomically
from srgan.inspection.drawing import (
    check_output,
    check_size,
    frames_of,
    labelled_grid,
    render,
    write_gif,
    write_video,
)
from srgan.inspection.export import export
from srgan.inspection.generator import StoredGenerator, chosen_device
from srgan.inspection.latents import along_dimensions, check_threshold, walks
from srgan.inspection.printing import short_headline

BATCH_SIZE = 64
LARGEST_VALUE = 2.0  # to which one dimension goes, in standard deviations
POINTS_OF_AN_ANIMATION = 4
DEFAULT_COLUMNS = 9


class Sheet(NamedTuple):
    """R rows of T images: z `[R, T, d]`, labels `[R, T]`, and the names of rows and columns, if they have any."""

    z: Tensor
    labels: Tensor
    rows: list[str]
    columns: list[str]


def export_images(options: argparse.Namespace) -> str:
    """Writes single images for other tools; says what it wrote.

    Raises:
        FileNotFoundError: there is no such checkpoint.
        ValueError: wrong wishes.
    """
    stored = _read(options)
    classes = chosen_numbers(options.classes, stored.generator.num_classes, "class") if options.classes else None
    count = export(
        stored, options.images, options.number, options.seed, options.statistics, options.truncation, classes
    )
    return f"{short_headline(stored.checkpoint)}: {count:,} images in {options.images}"


def draw(options: argparse.Namespace, path: Path) -> str:
    """Writes a picture or an animation; says what it wrote.

    Raises:
        FileNotFoundError: there is no such checkpoint.
        ValueError: wrong wishes.
    """
    check_output(path, animated=bool(options.walk or options.dimension))
    stored = _read(options)
    moves = path.suffix.lower() != ".png"
    sheet = chosen_sheet(stored, options, moves)
    rows, columns = sheet.labels.shape
    plain = not (options.walk or options.dimension or options.classes)
    network = stored.network(options.statistics, alone=not plain)
    images = render(network, sheet.z.flatten(0, 1), sheet.labels.flatten(), rows * columns if plain else BATCH_SIZE)
    if moves:
        frames = frames_of(images.unflatten(0, (rows, columns)), math.ceil(math.sqrt(rows)))
        (write_gif if path.suffix.lower() == ".gif" else write_video)(frames, path, options.fps)
        what = f"{rows} images in {columns} frames"
    else:
        picture = labelled_grid(images, columns, sheet.rows, sheet.columns)
        write_atomically(path, lambda file: picture.save(file, "PNG"))
        what = f"{rows} x {columns} images"
    return f"{short_headline(stored.checkpoint)}: {what} of {stored.pixels} x {stored.pixels} pixels in {path}"


def _read(options: argparse.Namespace) -> StoredGenerator:
    if options.truncation is not None:
        check_threshold(options.truncation)
    return StoredGenerator.read(options.checkpoint, chosen_device(options.device))


def chosen_sheet(stored: StoredGenerator, options: argparse.Namespace, moves: bool) -> Sheet:
    """The points and classes that were asked for.

    Raises:
        ValueError: a class or a dimension that the generator does not have.
    """
    generator, per_row = stored.generator, options.columns or DEFAULT_COLUMNS
    classes = chosen_numbers(options.classes, generator.num_classes, "class") if options.classes else []
    if options.dimension:
        dimensions = chosen_numbers(options.dimension, generator.latent_dim, "dimension")
        check_size(len(dimensions) * (1 if moves else per_row), stored.pixels)
        if len(classes) > 1:
            raise ValueError(f"Expected one of the --classes with --dimension, found {len(classes)}.")
        return _dimensions(stored, options, dimensions, classes, moves)
    if options.walk:
        check_size(options.walk * (1 if moves else per_row), stored.pixels)
        return _walks(stored, options, classes, moves)
    if classes:
        check_size(len(classes) * per_row, stored.pixels)
        z, _ = stored.grid_latents(per_row, _seed(options), options.truncation)
        labels = z.new_tensor(classes).long()[:, None].expand(-1, per_row)
        return Sheet(z.expand(len(classes), -1, -1), labels, [f"class {label}" for label in classes], [])
    side = stored.grid_settings["rows"]
    rows, columns = options.rows or side, options.columns or side
    check_size(rows * columns, stored.pixels)
    z, labels = stored.grid_latents(rows * columns, _seed(options), options.truncation)
    return Sheet(z.unflatten(0, (rows, columns)), labels.unflatten(0, (rows, columns)), [], [])


def _walks(stored: StoredGenerator, options: argparse.Namespace, classes: list[int], moves: bool) -> Sheet:
    """Walk j goes from image 2j of the grid to the next, or in an animation past 4j ... 4j + 3 and back."""
    points = POINTS_OF_AN_ANIMATION if moves else 2
    steps = options.frames if moves else max(1, (options.columns or DEFAULT_COLUMNS) - 1)
    z, labels = stored.grid_latents(options.walk * points, _seed(options), options.truncation)
    path = walks(z.unflatten(0, (options.walk, points)), steps, closed=moves)
    own = (
        labels[::points] if not classes else labels.new_tensor([classes[j % len(classes)] for j in range(options.walk)])
    )
    names = [f"class {label}" for label in own.tolist()] if stored.generator.num_classes else []
    return Sheet(path, own[:, None].expand(path.shape[:2]), names, [])


def _dimensions(
    stored: StoredGenerator, options: argparse.Namespace, dimensions: list[int], classes: list[int], moves: bool
) -> Sheet:
    """The first image of the grid with one coordinate changed; an animation goes there and back."""
    (z,), (label,) = stored.grid_latents(1, _seed(options), options.truncation)
    count = options.frames if moves else options.columns or DEFAULT_COLUMNS
    values = torch.linspace(-LARGEST_VALUE, LARGEST_VALUE, count)
    if moves:
        values = torch.cat([values, values[1:-1].flip(0)])
    points = along_dimensions(z, dimensions, values)
    labels = torch.full(points.shape[:2], classes[0] if classes else int(label), device=z.device)
    names = [f"{value:+.2g}" if value else "0" for value in values.tolist()]
    return Sheet(points, labels, [f"z{dimension}" for dimension in dimensions], names)


def _seed(options: argparse.Namespace) -> int:
    return GRID_SEED if options.seed is None else int(options.seed)


def chosen_numbers(text: str, count: int, what: str) -> list[int]:
    """Numbers of 0 ... count - 1, from "0,3,5-7" or "all".

    Raises:
        ValueError: something else, or out of range.
    """
    if count == 0:
        raise ValueError(f"Expected a conditional generator for a {what}, found one without classes.")
    if text == "all":
        return list(range(count))
    numbers: list[int] = []
    try:
        for part in text.split(","):
            first, _, last = part.partition("-")
            numbers += range(int(first), int(last or first) + 1)
    except ValueError:
        numbers = []
    if not numbers or not all(0 <= number < count for number in numbers):
        raise ValueError(f"Expected each {what} in 0 ... {count - 1}, as 0,3,5-7 or all, found '{text}'.")
    return numbers
