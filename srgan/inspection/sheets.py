"""What `srgan sample` draws: points of latent space and classes in rows, as a grid, a GIF or an MP4; single images."""

import argparse
import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from srgan.checkpoints.pretrained import TrainedGAN, load, rendered
from srgan.metrics.features import hash_weights
from srgan.networks.sampling import GRID_SEED, SCORED, check_threshold, truncated_latents
from srgan.utils.files import read_json, write_atomically, write_json, write_text
from srgan.utils.images import PADDING, grid_picture, quantize
from srgan.utils.progress import Progress

MAX_COORDINATE = 2.0  # to which one dimension goes, in standard deviations
POINTS_OF_AN_ANIMATION = 4
DEFAULT_COLUMNS = 9
FONT_SIZE = 13  # pixels
FRAMES_PER_SECOND = 20
RECORD, LABELS = "images.json", "labels.csv"  # of a folder of single images

Sheet = tuple[Tensor, Tensor, list[str]]
"""R rows of T images: z `[R, T, d]`, labels `[R, T]`, and the names of rows, if they have any."""


def make(options: argparse.Namespace, path: Path) -> str:
    """Writes single images, a picture or an animation; returns what it wrote. ValueError if options do not fit."""
    if options.truncation is not None:
        check_threshold(options.truncation)
    stored = load(options.checkpoint, options.ema, options.device, options.allow)
    classes = numbers(options.classes, stored.generator.num_classes, "class") if options.classes else []
    if options.export_images:
        return f"{stored.checkpoint.title}: {export(stored, options, classes or None, path):,} images in {path}"
    if options.seed is None:
        options.seed = GRID_SEED
    moves = path.suffix.lower() != ".png"
    z, labels, names = chosen_sheet(stored, options, classes, moves)
    rows, columns = labels.shape
    inputs = z.flatten(0, 1), labels.flatten()
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
        tiles = images.unflatten(0, (rows, columns))
        frames = [grid_picture(tiles[:, time], math.ceil(math.sqrt(rows))) for time in range(columns)]
        (write_video if path.suffix.lower() == ".mp4" else write_gif)(frames, path)
        what = f"{rows} images in {columns} frames"
    else:
        picture = labelled_grid(images, columns, names)
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
        z, _ = stored.grid_latents(columns, options.seed, options.truncation)
        labels = z.new_tensor(classes).long()[:, None].expand(-1, columns)
        return z.expand(len(classes), -1, -1), labels, [f"class {label}" for label in classes]
    shape = (options.rows or stored.grid_settings["rows"], columns)
    z, labels = stored.grid_latents(math.prod(shape), options.seed, options.truncation)
    return z.unflatten(0, shape), labels.unflatten(0, shape), []


def _walks(stored: TrainedGAN, options: argparse.Namespace, classes: list[int], moves: bool) -> Sheet:
    """Walk j goes from image 2j of the grid to the next, or in an animation past 4j ... 4j + 3 and back."""
    points = POINTS_OF_AN_ANIMATION if moves else 2
    steps = options.frames if moves else max(1, (options.columns or DEFAULT_COLUMNS) - 1)
    z, labels = stored.grid_latents(options.walk * points, options.seed, options.truncation)
    path = walks(z.unflatten(0, (options.walk, points)), steps, closed=moves)
    own = labels[::points]
    if classes:
        own = labels.new_tensor([classes[walk % len(classes)] for walk in range(options.walk)])
    names = [f"class {label}" for label in own.tolist()] if stored.generator.num_classes else []
    return path, own[:, None].expand(path.shape[:2]), names


def _dimensions(stored: TrainedGAN, options: argparse.Namespace, classes: list[int], moves: bool) -> Sheet:
    """The first image of the grid with one coordinate changed; an animation goes there and back."""
    dimensions = numbers(options.dimension, stored.generator.latent_dim, "dimension")
    if len(classes) > 1:
        raise ValueError(f"Expected one of the --classes with --dimension, found {len(classes)}.")
    (z,), (label,) = stored.grid_latents(1, options.seed, options.truncation)
    count = options.frames if moves else options.columns or DEFAULT_COLUMNS
    values = torch.linspace(-MAX_COORDINATE, MAX_COORDINATE, count)
    if moves:
        values = torch.cat([values, values[1:-1].flip(0)])
    points = along_dimensions(z, dimensions, values)
    labels = torch.full(points.shape[:2], classes[0] if classes else int(label), device=z.device)
    return points, labels, [f"z{dimension}" for dimension in dimensions]


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


def write_gif(frames: Sequence[Image.Image], path: Path) -> None:
    """Repeats for ever, with one palette for all its frames, so that still parts stay still."""
    some = frames[:: max(1, len(frames) // 8)]
    strip = Image.new("RGB", (frames[0].width, frames[0].height * len(some)))
    for place, frame in enumerate(some):
        strip.paste(frame, (0, place * frame.height))
    palette = strip.quantize(256, Image.Quantize.MEDIANCUT)
    first, *others = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    options = {"append_images": others, "duration": 1000 // FRAMES_PER_SECOND, "loop": 0}  # in multiples of 10 ms
    write_atomically(path, lambda file: first.save(file, "GIF", save_all=True, **options))


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


def export(stored: TrainedGAN, options: argparse.Namespace, classes: list[int] | None, path: Path) -> int:
    """Writes the first images that the run's scores are measured on, or as many as asked for; returns their number.

    `path` is a folder, or a file *.npz of `arr_0` [N, H, W, 3] uint8 and, with classes, `arr_1` [N] int64. The images
    cycle through `classes`; None draws them uniformly. ValueError for a folder that holds something else.
    """
    scores, threshold = stored.checkpoint.config["scores"], options.truncation
    protocol = scores["protocol"]
    count: int = options.num_images or (scores["final"] or protocol)["num_fake_images"]
    seed = protocol["seed"] if options.seed is None else options.seed
    statistics, batch_size = protocol["generator_statistics"], protocol["batch_size"]
    network = stored.batch_network(statistics)

    def inputs(rows: range) -> tuple[Tensor, Tensor]:
        z, labels = truncated_latents(network, rows, stored.device, seed, SCORED, threshold)
        return z, labels if classes is None else torch.tensor([classes[row % len(classes)] for row in rows]).to(labels)

    @torch.no_grad()
    def images(start: int) -> Iterator[np.ndarray]:
        with Progress("images", count, done=start) as progress:
            for first in range(start, count, batch_size):
                batch = quantize(network(*inputs(range(first, min(first + batch_size, count)))))
                yield from batch.permute(0, 2, 3, 1).cpu().numpy()
                progress.update(len(batch))

    labels = inputs(range(count))[1].cpu().numpy() if network.num_classes else None
    if path.suffix.lower() == ".npz":
        arrays: dict[str, Any] = {"arr_0": np.stack(list(images(0)))} | ({} if labels is None else {"arr_1": labels})
        write_atomically(path, lambda file: np.savez(file, **arrays))
        return count
    record = {
        "iteration": stored.checkpoint.iteration, "generator_hash": hash_weights(stored.generator), "seed": seed,
        "generator_statistics": statistics, "batch_size": batch_size, "truncation": threshold, "classes": classes,
    }  # fmt: skip
    start = _begin_folder(path, record, count, batch_size)
    if labels is not None:
        rows = [f"{_name(row)},{label}" for row, label in enumerate(labels)]
        write_text(path / LABELS, "\n".join(["file,class", *rows, ""]))
    for row, image in enumerate(images(start), start):
        Image.fromarray(image).save(path / _name(row))
    return count


def _name(row: int) -> str:
    return f"{row:06d}.png"


def _begin_folder(folder: Path, record: dict[str, Any], count: int, batch_size: int) -> int:
    """The row to resume from: the last batch is written again, since a kill may have cut it."""
    is_used = folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
    if is_used and read_json(folder / RECORD) != record:
        raise ValueError(
            f"Expected a new or an empty folder, or one with a part of the same images, found '{folder}'. "
            "Choose another for --export-images."
        )
    existing = len(list(folder.glob("*.png")))
    if existing > count:
        raise ValueError(f"Expected at most {count} images in '{folder}', found {existing}. Choose another folder.")
    write_json(folder / RECORD, record)
    return max(0, existing - 1) // batch_size * batch_size
