"""Moving pictures of generated images: GIF and MP4."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image
from torch import Tensor

from srgan.utils.files import write_atomically
from srgan.utils.images import grid_picture

FRAMES_PER_SECOND = 20


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
