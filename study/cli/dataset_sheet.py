"""A sheet of sample images: a row per class."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from trainables.datasets.inspection import SampleRow
from trainables.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image
    from PIL.ImageFont import FreeTypeFont

__all__ = ["write_sheet"]

_SIDE, _PIXELS = 150, 30_000_000  # the longer side of an image at most, and the images of a sheet together
_GAP, _LABEL, _FONT = 4, 20, 14


def write_sheet(path: Path, rows: Sequence[SampleRow], *, title: str) -> None:
    """Draws images side by side, classes below one another with their split, and writes a PNG file.

    Images are drawn smaller the more there are; labels keep their size.

    Raises:
        ConfigError: the file cannot be written, or its name has another suffix.
    """
    if path.suffix.lower() != ".png":
        raise ConfigError(f"--output {path}: a sheet is written as .png; choose such a name")
    sheet = _drawn(rows, title)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sheet.save(path, compress_level=3)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}; choose another --output") from error


def _drawn(rows: Sequence[SampleRow], title: str) -> "Image":
    from PIL import Image, ImageDraw

    columns = max(len(row.images) for row in rows)
    side = int(min(_SIDE, (_PIXELS / (columns * len(rows))) ** 0.5))
    tiles = [[_tile(image, side) for image in row.images] for row in rows]
    width, height = (max(tile.size[axis] for row in tiles for tile in row) for axis in (0, 1))
    labels, font = [title, *(f"{row.split}: {row.class_name}" for row in rows)], _font()
    wide = max(columns * (width + _GAP), *(int(font.getlength(_line(label))) + _GAP for label in labels)) + _GAP
    sheet = Image.new("RGB", (wide, 2 * _LABEL + len(rows) * (_LABEL + height + _GAP)), "white")
    pen = ImageDraw.Draw(sheet)
    tops = [0, *(2 * _LABEL + number * (_LABEL + height + _GAP) for number in range(len(rows)))]
    for top, label in zip(tops, labels, strict=True):
        pen.text((_GAP, top + 1), _line(label), fill="black", font=font)
    for top, row in zip(tops[1:], tiles, strict=True):
        for column, tile in enumerate(row):
            sheet.paste(tile, (_GAP + column * (width + _GAP), top + _LABEL))
    return sheet


def _tile(image: "NDArray[np.uint8]", side: int) -> "Image":
    """[C, H, W] pixels at the size of the sheet; small images in whole multiples of their pixels."""
    from PIL import Image

    pixels = image.transpose(1, 2, 0)
    full = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    scale = side / max(full.size)
    if scale >= 1:
        return full.resize((full.width * int(scale), full.height * int(scale)), Image.Resampling.NEAREST)
    return full.resize((max(1, int(full.width * scale)), max(1, int(full.height * scale))), Image.Resampling.BOX)


def _font() -> "FreeTypeFont":
    """DejaVu Sans, which has most alphabets."""
    import matplotlib
    from PIL import ImageFont

    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", _FONT)


def _line(text: str) -> str:
    """Without what would break it."""
    return " ".join(text.split())
