"""One image file becomes one square of bytes, the same one for folders, tar files, and prepared and hub data sets.

What can be converted is; the rest is refused with its reason.
"""

import warnings
from contextlib import suppress
from io import BytesIO

import numpy as np
import PIL
from PIL import Image, ImageOps, UnidentifiedImageError, features

PIXELS = "upright, RGB, central square of the short side, then Pillow's antialiased bilinear resize"
"""Names the rule, for caches."""
DECODER = f"Pillow {PIL.__version__}, libjpeg-turbo {features.version('libjpeg_turbo')}"
"""Names the libraries, which may differ in the last bit."""
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000")


class UnreadableImage(Exception):
    """Bytes that are no whole image; the message is the reason."""


def read_image(content: bytes, image_size: int) -> np.ndarray:
    """Decodes by content, whatever the file's name says.

    Args:
        content: the whole file.
        image_size: H = W of the result.

    Returns:
        `[3, image_size, image_size]` uint8.

    Raises:
        UnreadableImage: not an image of a format in FORMATS, cut short, damaged, or of unknown range.
        MemoryError: there is too little.
    """
    if not content:
        raise UnreadableImage("the file is empty")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # oversized or oddly tagged, but readable
            with Image.open(BytesIO(content), formats=FORMATS) as image:
                image.load()
                return np.asarray(square(to_rgb(upright(image)), image_size)).transpose(2, 0, 1)
    except MemoryError:  # says something about this machine, not about the file
        raise
    except Exception as error:  # decoders of damaged files raise anything: struct.error, SyntaxError, KeyError ...
        if isinstance(error, UnidentifiedImageError):
            raise UnreadableImage(f"not an image of a known format ({', '.join(FORMATS)})") from error
        raise UnreadableImage(str(error) or type(error).__name__) from error


def upright(image: Image.Image) -> Image.Image:
    """Turned as its EXIF orientation says and as every viewer shows it.

    Departs from the authors' code, which shows the few tagged images lying: a rotated dog is no mode of dogs.
    """
    with suppress(Exception):  # the pixels are fine with a damaged EXIF
        ImageOps.exif_transpose(image, in_place=True)
    return image


def to_rgb(image: Image.Image) -> Image.Image:
    """Greyscale, palettes, CMYK, 16 bits to RGB of 8 bits; transparent parts show white.

    Departs from the authors' code, which takes C, M, Y for R, G, B and drops transparency.

    Raises:
        ValueError: the range of the values is not known.
    """
    if image.mode == "F":
        raise ValueError("floating-point pixels, whose range is not known")
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.int64)
        if values.min() < 0 or values.max() > 65535:
            raise ValueError("integer pixels beyond 16 bits, whose range is not known")
        image = Image.fromarray(((values + 128) // 257).astype(np.uint8))
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
