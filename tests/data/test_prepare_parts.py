"""The parts of preparing: one image file to one square of bytes, one path to its class, sizes of parts."""

import struct
import subprocess
import sys
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from io import BytesIO
from math import ceil
from typing import Any

import numpy as np
import pytest
from conftest import random_pixels
from PIL import Image, ImageOps

from srgan.prepare.decoding import FORMATS, UnreadableImage, _Budget, read_image, to_rgb
from srgan.prepare.image_sources import place_of
from srgan.prepare.preparation import rows_per_part

# One image.


def encode(image: Image.Image, image_format: str = "PNG", **options: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


RED, GREY = (255, 0, 0), (128, 128, 128)
HALF_RED_ON_WHITE = (255, 127, 127)


@pytest.mark.parametrize(
    ("image", "options", "colour"),
    [
        (Image.new("L", (9, 9), 128), {}, GREY),
        (Image.new("1", (9, 9), 1), {}, (255, 255, 255)),
        (Image.new("I;16", (9, 9), 128 * 257), {}, GREY),
        (Image.new("I;16", (9, 9), 65535), {}, (255, 255, 255)),
        (Image.new("RGB", (9, 9), RED).convert("P"), {}, RED),
        (Image.new("RGBA", (9, 9), (255, 0, 0, 128)), {}, HALF_RED_ON_WHITE),
        (Image.new("RGBA", (9, 9), (255, 0, 0, 0)), {}, (255, 255, 255)),
        (Image.new("LA", (9, 9), (128, 255)), {}, GREY),
        (Image.new("CMYK", (9, 9), (0, 255, 255, 0)), {"image_format": "JPEG"}, RED),
        (Image.new("CMYK", (9, 9), (0, 0, 0, 127)), {"image_format": "TIFF"}, GREY),
        (Image.new("YCbCr", (9, 9), (128, 128, 128)), {"image_format": "JPEG"}, GREY),
    ],
)
def test_every_colour_mode_comes_out_in_its_colour(
    image: Image.Image, options: dict[str, Any], colour: tuple[int, int, int]
) -> None:
    found = read_image(encode(image, **options), 9)
    assert np.abs(found.astype(int) - np.array(colour)[:, None, None]).max() <= 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_turned_upright(orientation: int) -> None:
    lying = Image.fromarray(random_pixels(6, 11, 3))
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = encode(lying, exif=exif)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(BytesIO(file))))
    top, left = ((side - 6) // 2 for side in upright.shape[:2])
    found = read_image(file, 6)
    assert np.array_equal(found, upright[top : top + 6, left : left + 6].transpose(2, 0, 1))


@pytest.mark.parametrize("image_format", FORMATS)
def test_files_are_read_by_content_and_cut_files_are_refused(image_format: str) -> None:
    file = encode(Image.fromarray(random_pixels(60, 60, 3)), image_format)
    expected = np.asarray(Image.open(BytesIO(file)).convert("RGB")).transpose(2, 0, 1)
    found = read_image(file, 60)
    assert np.array_equal(found, expected)
    for length in (0, 1, 20, len(file) // 3, 2 * len(file) // 3):
        with pytest.raises(UnreadableImage, match=r"\w"):
            read_image(file[:length], 60)


def test_images_of_an_unknown_range_are_refused() -> None:
    for mode in ("F", "I"):
        with pytest.raises(UnreadableImage, match="range is not known"):
            read_image(encode(Image.new(mode, (9, 9), 70_000), "TIFF"), 9)


def test_no_damage_crashes_the_decoder() -> None:
    """Bytes changed at random either leave an image or are refused."""
    random = np.random.default_rng(0)
    outcomes = set()
    for image_format in FORMATS:
        whole = np.frombuffer(encode(Image.fromarray(random_pixels(40, 40, 3)), image_format), np.uint8)
        for _ in range(40):
            damaged = whole.copy()
            damaged[random.integers(len(damaged), size=4)] = random.integers(256, size=4)
            damaged[random.integers(30)] ^= 1 << random.integers(8)
            try:
                assert read_image(damaged.tobytes(), 8).shape == (3, 8, 8)
                outcomes.add("image")
            except UnreadableImage:
                outcomes.add("refused")
    assert outcomes == {"image", "refused"}


TOO_LITTLE_MEMORY = """
import resource, sys
from pathlib import Path
from srgan.prepare.decoding import read_image
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 50_000_000, -1))
try:
    read_image(sys.stdin.buffer.read(), 8)
except MemoryError:
    print("too little memory")
"""


def test_too_little_memory_is_no_fault_of_the_file() -> None:
    large = encode(Image.new("1", (9000, 9000)))
    found = subprocess.run([sys.executable, "-c", TOO_LITTLE_MEMORY], input=large, stdout=subprocess.PIPE, check=True)
    assert found.stdout == b"too little memory\n"
    assert read_image(large, 8).shape == (3, 8, 8)


@pytest.mark.parametrize("kind", [b"iTXt", b"zTXt"])
@pytest.mark.parametrize("behind", [False, True])
def test_texts_in_a_png_do_not_decide(kind: bytes, behind: bool) -> None:
    """Photoshop and ComfyUI write megabytes of them."""
    file = encode(Image.fromarray(random_pixels(9, 9, 3)))
    text = zlib.compress(b"x" * 5_000_000)
    content = b"workflow\0" + (b"\1\0\0\0" if kind == b"iTXt" else b"\0") + text
    chunk = struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    place = file.index(b"IEND" if behind else b"IDAT") - 4
    found = read_image(file[:place] + chunk + file[place:], 9)
    assert np.array_equal(found, read_image(file, 9))


def test_a_small_file_does_not_unpack_to_gigabytes() -> None:
    bomb = encode(Image.new("L", (12_000, 12_000)))  # 144 million pixels; Pillow takes 179 million
    assert len(bomb) < 200_000
    with pytest.raises(UnreadableImage, match=r"144 million pixels in \d+ kB, more than in any photograph"):
        read_image(bomb, 8)
    claims = bytearray(encode(Image.new("I;16", (9, 9)), "TIFF"))  # 5,000 x 5,000 that are not there
    for tag in (256, 257):
        place = claims.index(struct.pack("<HHI", tag, 4, 1)) + 8
        claims[place : place + 4] = struct.pack("<I", 5000)
    with pytest.raises(UnreadableImage, match="25 million pixels in 0 kB"):
        read_image(bytes(claims), 8)


def test_threads_unpack_one_large_image_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Together they hold no more pixels than the bound on one; small images pass at once."""
    monkeypatch.setattr("srgan.prepare.decoding.UNPACKED", _Budget(1_000_000))
    held, most = [0], [0]

    def counted(image: Image.Image) -> Image.Image:
        held[0] += image.width * image.height
        most[0] = max(most[0], held[0])
        time.sleep(0.02)
        held[0] -= image.width * image.height
        return to_rgb(image)

    monkeypatch.setattr("srgan.prepare.decoding.to_rgb", counted)
    files = [encode(Image.new("L", (side, side))) for side in (800, 900, 100, 700, 100, 1200, 100, 600)]
    with ThreadPoolExecutor(8) as pool:
        assert len(list(pool.map(partial(read_image, image_size=8), files))) == 8
    assert most[0] <= 1200**2  # what is larger than the bound goes alone


def test_negatives_of_16_bits_are_turned_over() -> None:
    values = random_pixels(9, 9).astype(np.uint16) * 257
    positive = encode(Image.fromarray(values), "TIFF")
    negative = encode(Image.fromarray(values), "TIFF", tiffinfo={262: 0})
    assert np.array_equal(read_image(negative, 9), 255 - read_image(positive, 9))


# Classes and parts.


@pytest.mark.parametrize(
    ("path", "class_name"),
    [
        ("train/cat/1.png", "cat"),
        ("./train/cat/1.png", "cat"),
        ("imagenet/train/cat/deep/1.png", "cat"),
        ("images/cat/1.png", "cat"),
        ("cat/1.png", "cat"),
        ("val/cat/1.png", None),
        ("test/cat/1.png", None),
    ],
)
def test_the_class_of_a_path(path: str, class_name: str | None) -> None:
    place = place_of(path, ["train"])
    assert place is not None
    assert place[0] == class_name


@pytest.mark.parametrize("path", ["1.png", "train/1.png", "cat/.1.png", ".git/cat/1.png"])
def test_paths_outside_of_any_class(path: str) -> None:
    assert place_of(path, ["train"]) is None


def test_images_of_no_class_are_a_class_where_that_is_meant() -> None:
    assert place_of("1.png", ["train"], classless=True) == ("", None)
    assert place_of("train/1.png", ["train"], classless=True) == ("", "train")  # not a class called train


@pytest.mark.parametrize("count", [1, 220, 16_385, 1_281_167, 14_000_000])
def test_there_are_not_too_many_parts(count: int) -> None:
    assert rows_per_part(count) >= 64
    assert ceil(count / rows_per_part(count)) <= 256


def test_a_part_of_imagenet_fits_into_memory() -> None:
    assert rows_per_part(1_281_167) * 3 * 128**2 < 250e6
