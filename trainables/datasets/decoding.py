"""From the bytes of an image file to uint8 pixels of one size and one number of channels."""

import io
import re
import struct
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

from trainables.datasets.files import DAMAGED
from trainables.datasets.source import Framed, Reader, UnreadableImageError

__all__ = ["Resize", "decode", "reader"]

Resize = Literal["squash", "crop", "whole"]

_FAILURES = (
    *DAMAGED,
    SyntaxError,  # Pillow's word for a damaged PNG
    IndexError,
    struct.error,
    Image.DecompressionBombError,
)
_PAPER = (255, 255, 255, 255)
_ON_ITS_SIDE = (5, 6, 7, 8)
"""EXIF orientations that swap width and height."""


def reader(
    paths: Sequence[str], read: Callable[[str], bytes], *, size: int, channels: Literal[1, 3], resize: Resize
) -> Reader:
    """Decodes the images of a dataset by their number; those of `whole` remember the shape that they had.

    Args:
        paths: one name per image.
        read: returns the bytes of a named file.
    """

    def pixels(number: int) -> NDArray[np.uint8]:
        name = paths[number]
        return decode(name, lambda: read(name), size=size, channels=channels, resize=resize)

    def framed(number: int) -> Framed:
        name = paths[number]
        return Framed(*_decoded(name, lambda: read(name), size=size, channels=channels, resize=resize))

    return framed if resize == "whole" else pixels


def decode(
    name: str, read: Callable[[], bytes], *, size: int, channels: Literal[1, 3], resize: Resize
) -> NDArray[np.uint8]:
    """One image as uint8 [channels, size, size].

    Rotated as its EXIF entry says; transparency is laid on white; 16 bits are scaled to 8; palettes, grey and CMYK
    become grey (ITU-R 601) or RGB. Resized with an antialiasing bilinear filter; `crop` keeps the middle of the longer
    side, `squash` and `whole` keep everything.

    Args:
        name: for the message.
        read: returns the bytes of the file.

    Raises:
        UnreadableImageError: damaged, truncated, or of a kind without a defined 8-bit value (floating point).
    """
    return _decoded(name, read, size=size, channels=channels, resize=resize)[0]


def _decoded(
    name: str, read: Callable[[], bytes], *, size: int, channels: Literal[1, 3], resize: Resize
) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """Pixels, and the height and width that the image has."""
    mode: Literal["L", "RGB"] = "L" if channels == 1 else "RGB"
    try:
        with Image.open(io.BytesIO(read())) as image:
            width, height = image.size
            image.draft(mode, (2 * size, 2 * size))
            pixels = np.asarray(_resized(_converted(image, mode), size, resize))
            lies = image.getexif().get(ExifTags.Base.Orientation, 1) in _ON_ITS_SIDE
    except _FAILURES as error:
        reason = re.sub(r"<_io\.BytesIO object at \w+>", "it", str(error))  # what Pillow calls the bytes
        raise UnreadableImageError(f"'{name}' ({type(error).__name__}: {reason})") from error
    pixels = pixels[None] if channels == 1 else np.ascontiguousarray(pixels.transpose(2, 0, 1))
    return pixels, (width, height) if lies else (height, width)


def _converted(image: Image.Image, mode: Literal["L", "RGB"]) -> Image.Image:
    image = ImageOps.exif_transpose(image)
    if image.mode == "F":
        raise ValueError("floating-point pixels have no defined 8-bit value")
    if image.mode.startswith("I"):
        image = _eight_bits(image)
    if image.has_transparency_data:
        opaque = Image.new("RGBA", image.size, _PAPER)
        image = Image.alpha_composite(opaque, image.convert("RGBA"))
    return image.convert(mode)


def _eight_bits(image: Image.Image) -> Image.Image:
    values = np.asarray(image)
    if values.size and (values.min() < 0 or values.max() > 65535):
        raise ValueError("integer pixels of more than 16 bits have no defined 8-bit value")
    return Image.fromarray(np.round(values / 257.0).astype(np.uint8))


def _resized(image: Image.Image, size: int, resize: Resize) -> Image.Image:
    if resize == "crop":
        return ImageOps.fit(image, (size, size), Image.Resampling.BILINEAR)
    return image.resize((size, size), Image.Resampling.BILINEAR, reducing_gap=3.0)
