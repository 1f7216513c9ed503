"""One image file becomes one square of bytes, the same one for folders, tar files, and prepared and hub data sets.

What can be converted is; the rest is refused with its reason.
"""

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BytesIO

import numpy as np
import PIL
from PIL import Image, ImageOps, PngImagePlugin, UnidentifiedImageError, features

PIXELS = "upright, RGB, central square of the short side, then Pillow's antialiased bilinear resize"
"""Names the rule, for caches."""
DECODER = f"Pillow {PIL.__version__}, libjpeg-turbo {features.version('libjpeg_turbo')}"
"""Names the libraries, which may differ in the last bit."""
FORMATS: tuple[str, ...] = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000")
if features.check("avif"):
    FORMATS += ("AVIF",)
MAX_PIXELS = 120_000_000  # of one image, and of all that a process decodes at a time: 2 GB
FREE_PIXELS, MAX_PIXELS_PER_BYTE = 1 << 24, 10_000  # a photograph of n bytes has at most these, or 10,000 n
PngImagePlugin.MAX_TEXT_CHUNK, PngImagePlugin.MAX_TEXT_MEMORY = 1 << 26, 1 << 28  # ComfyUI writes megabytes of text
WHITE_IS_ZERO = 262, 0  # the TIFF tag PhotometricInterpretation, and its value for negatives
FAINT = 32  # of 255: values of photographs are not all below


class UnreadableImage(Exception):
    """Bytes that are no whole image; the message is the reason."""


class NotAnImage(UnreadableImage):
    """Bytes of no image format that is known, such as text; others are damaged."""


def read_image(content: bytes, image_size: int) -> np.ndarray:
    """Decodes a whole file by its content, whatever its name says, to `[3, image_size, image_size]` uint8.

    NotAnImage if it has no format of FORMATS; UnreadableImage if it is cut short, damaged, of unknown range, or larger
    than any photograph; MemoryError if there is too little.
    """
    if not content:
        raise UnreadableImage("the file is empty")
    try:
        return _pixels(content, image_size)
    except (MemoryError, UnreadableImage):  # too little memory is no fault of the file
        raise
    except UnidentifiedImageError as error:
        raise NotAnImage(f"not an image of a known format ({', '.join(FORMATS)})") from error
    except Exception as error:  # decoders of damaged files raise anything: struct.error, SyntaxError, KeyError ...
        raise UnreadableImage(str(error) or type(error).__name__) from error


def _pixels(content: bytes, image_size: int) -> np.ndarray:
    """`[3, H, W]` uint8; raises whatever Pillow does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # oversized or oddly tagged, but readable
        with Image.open(BytesIO(content), formats=FORMATS) as image:
            pixels = image.width * image.height
            if pixels > min(MAX_PIXELS, max(FREE_PIXELS, MAX_PIXELS_PER_BYTE * len(content))):
                raise UnreadableImage(
                    f"{pixels / 1e6:,.0f} million pixels in {len(content) / 1e3:,.0f} kB, more than in any photograph"
                )
            with UNPACKED.taking(pixels):
                image.load()
                return np.asarray(square(to_rgb(upright(image)), image_size)).transpose(2, 0, 1)


class _Budget:
    """What threads share: each takes a part, and waits while too little is left."""

    def __init__(self, amount: int) -> None:
        self.amount = self.left = amount
        self.changed = threading.Condition()

    @contextmanager
    def taking(self, part: int) -> Iterator[None]:
        part = min(part, self.amount)
        with self.changed:
            self.changed.wait_for(lambda: self.left >= part)
            self.left -= part
        try:
            yield
        finally:
            with self.changed:
                self.left += part
                self.changed.notify_all()


UNPACKED = _Budget(MAX_PIXELS)


def warnings_of(brightest: int) -> list[str]:
    """On a data set whose largest value is `brightest`, 0 ... 255; none if all is well."""
    warning = (
        f"The images are nearly black: no value is above {brightest} of 255. Are these values of 12 bits in files of "
        "16, or class numbers? Stretch them to the full range."
    )
    return [warning] if brightest < FAINT else []


def upright(image: Image.Image) -> Image.Image:
    """Rotated by its EXIF orientation, as in every viewer. Departs from the authors' code, which ignores it."""
    with suppress(Exception):  # the pixels are fine with a damaged EXIF
        ImageOps.exif_transpose(image, in_place=True)
    return image


def to_rgb(image: Image.Image) -> Image.Image:
    """Greyscale, palettes, CMYK, 16 bits to RGB of 8 bits; ValueError where the range of the values is not known.

    Departs from the authors' code, which takes C, M, Y for R, G, B and drops transparency: here it shows white.
    """
    if image.mode == "F":
        raise ValueError("floating-point pixels, whose range is not known")
    if image.mode.startswith("I"):
        tag, negative = WHITE_IS_ZERO  # which Pillow turns over for bytes alone
        is_negative = image.mode != "I" and getattr(image, "tag_v2", {}).get(tag) == negative
        values = np.asarray(image).astype(np.int32)
        if values.min() < 0 or values.max() > 65535:
            raise ValueError("integer pixels beyond 16 bits, whose range is not known")
        values += 128
        values //= 257
        image = Image.fromarray((255 - values if is_negative else values).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image if image.mode == "RGB" else image.convert("RGB")


def square(image: Image.Image, image_size: int) -> Image.Image:
    """The central square of the short side, cut out, then resized: in this order, as the authors do."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    image = image.crop((left, top, left + side, top + side))
    return image if side == image_size else image.resize((image_size, image_size), Image.Resampling.BILINEAR)
