"""Every kind of image file becomes uint8 pixels that mean what the file means."""

import io
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from trainables.datasets.decoding import decode
from trainables.datasets.source import UnreadableImageError

RED, GREEN = (255, 0, 0), (0, 255, 0)


def _file(image: Image.Image, kind: str = "png", **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def _decode(
    content: bytes, *, size: int = 8, channels: Literal[1, 3] = 3, resize: Literal["squash", "crop"] = "squash"
) -> NDArray[np.uint8]:
    return decode("x.png", lambda: content, size=size, channels=channels, resize=resize)


def _flat(pixels: NDArray[np.uint8]) -> list[int]:
    """The one colour of an image."""
    assert (pixels == pixels[:, :1, :1]).all()
    return [int(value) for value in pixels[:, 0, 0]]


def test_colour_stays_and_becomes_grey_by_itu_601() -> None:
    content = _file(Image.new("RGB", (20, 20), (200, 100, 50)))
    assert _flat(_decode(content)) == [200, 100, 50]
    assert _flat(_decode(content, channels=1)) == [round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)]
    assert _decode(content).shape == (3, 8, 8)
    assert _decode(content).flags.c_contiguous


@pytest.mark.parametrize("channels", [1, 3])
def test_grey_and_one_bit_images(channels: Literal[1, 3]) -> None:
    assert _flat(_decode(_file(Image.new("L", (9, 9), 77)), channels=channels)) == [77] * channels
    assert _flat(_decode(_file(Image.new("1", (9, 9), 1)), channels=channels)) == [255] * channels


@pytest.mark.parametrize("value", [0, 257 * 100, 65535])
@pytest.mark.parametrize("kind", ["png", "tiff"])
def test_sixteen_bits_are_scaled_and_not_cut_off(value: int, kind: str) -> None:
    content = _file(Image.fromarray(np.full((9, 9), value, dtype=np.uint16)), kind)
    assert _flat(_decode(content, channels=1)) == [value // 257]
    assert _flat(_decode(content)) == [value // 257] * 3


def test_thirty_two_bit_integers_within_sixteen_bits_are_scaled() -> None:
    content = _file(Image.fromarray(np.full((9, 9), 257 * 7, dtype=np.int32)), "tiff")
    assert _flat(_decode(content, channels=1)) == [7]


@pytest.mark.parametrize("values", [np.full((9, 9), 70000, np.int32), np.full((9, 9), 0.5, np.float32)])
def test_pixels_without_an_eight_bit_meaning_are_refused(values: NDArray[Any]) -> None:
    with pytest.raises(UnreadableImageError, match=r"'x.png' .*no defined 8-bit value"):
        _decode(_file(Image.fromarray(values), "tiff"))


def test_palette_and_cmyk() -> None:
    assert _flat(_decode(_file(Image.new("RGB", (9, 9), RED).convert("P")))) == list(RED)
    cmyk = _decode(_file(Image.new("RGB", (9, 9), RED).convert("CMYK"), "tiff"))
    assert np.abs(np.array(_flat(cmyk)) - RED).max() <= 2


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_lies_on_white(mode: str) -> None:
    image = Image.new("RGBA", (9, 9), (0, 0, 0, 0))
    content = _file(image.convert("LA")) if mode == "LA" else _file(image)
    if mode == "P":
        palette = Image.new("P", (9, 9), 0)
        palette.putpalette([0, 0, 0])
        content = _file(palette, transparency=0)
    assert _flat(_decode(content)) == [255] * 3


def test_half_transparent_black_is_grey() -> None:
    assert _flat(_decode(_file(Image.new("RGBA", (9, 9), (0, 0, 0, 128)))))[0] in (126, 127, 128)


def test_exif_rotation_is_applied() -> None:
    image = Image.new("RGB", (40, 20), RED)
    image.paste(GREEN, (20, 0, 40, 20))  # right half green
    exif = Image.Exif()
    exif[274] = 6  # shown after a quarter turn clockwise: green at the bottom
    pixels = _decode(_file(image, "jpeg", exif=exif, quality=100), size=16).astype(int)
    assert pixels[0, 2].mean() > pixels[1, 2].mean() + 150
    assert pixels[1, -3].mean() > pixels[0, -3].mean() + 150


def test_squash_keeps_everything_and_crop_keeps_the_middle() -> None:
    image = Image.new("L", (90, 30), 0)
    image.paste(255, (30, 0, 60, 30))
    squashed, cropped = (_decode(_file(image), size=30, channels=1, resize=how)[0] for how in ("squash", "crop"))
    assert squashed[:, 0].max() == 0
    assert squashed[:, 15].min() == 255
    assert squashed[:, -1].max() == 0
    assert cropped.min() == 255


@pytest.mark.parametrize("resize", ["squash", "crop"])
def test_fine_stripes_average_instead_of_aliasing(resize: Literal["squash", "crop"]) -> None:
    stripes = np.zeros((160, 160), np.uint8)
    stripes[:, ::2] = 255
    pixels = _decode(_file(Image.fromarray(stripes)), channels=1, resize=resize)
    assert np.abs(pixels.astype(int) - 127).max() <= 12


@pytest.mark.parametrize("content", [b"", b"GIF89a", b"\x89PNG\r\n\x1a\n" + b"\0" * 40])
def test_damaged_files_are_named(content: bytes) -> None:
    with pytest.raises(UnreadableImageError, match=r"'x\.png' \("):
        _decode(content)


@pytest.mark.parametrize("kind", ["png", "jpeg", "gif", "bmp", "tiff", "webp"])
@pytest.mark.parametrize("share", [0.3, 0.7])
def test_truncated_files_are_refused(kind: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    content = _file(Image.fromarray(noise), kind)
    with pytest.raises(UnreadableImageError):
        _decode(content[: int(len(content) * share)])


def test_a_decompression_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    content = _file(Image.new("L", (100, 100)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(UnreadableImageError, match="DecompressionBombError"):
        _decode(content)
