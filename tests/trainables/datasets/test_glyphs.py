"""The embedded dataset: shapes that really differ, images that never change, a task neither won nor lost."""

import hashlib
import importlib.util
import itertools
import unicodedata
from functools import cache as once
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from trainables.datasets.catalog import load_images, resolve
from trainables.datasets.config import Glyphs
from trainables.datasets.glyph_drawing import _thickened, draw
from trainables.datasets.glyph_shapes import _alike, distinct_outlines, fill, outlines_of
from trainables.datasets.glyphs import DISTINCT_SHAPES, chosen_classes, font_file
from trainables.datasets.glyphs import Glyphs as Source
from trainables.datasets.images import ImageSet
from trainables.errors import DataError


@once
def _outlines() -> dict[int, NDArray[np.float64]]:
    return outlines_of(font_file())


@once
def _distinct() -> dict[int, NDArray[np.float64]]:
    return distinct_outlines(font_file())


@once
def _canonical(code: int) -> NDArray[np.float64]:
    """A character as another renderer (FreeType) draws it: cut to its box, its long side scaled to 32, [32, 32]."""
    font = ImageFont.truetype(str(font_file()), 128)
    canvas = Image.new("L", (512, 384))
    ImageDraw.Draw(canvas).text((160, 100), chr(code), fill=255, font=font)
    box = canvas.getbbox()
    assert box is not None, f"U+{code:04X} is blank"
    cut = canvas.crop(box)
    scale = 32 / max(cut.size)
    small = cut.resize((max(1, round(cut.width * scale)), max(1, round(cut.height * scale))), Image.Resampling.BOX)
    result = Image.new("L", (32, 32))
    result.paste(small, ((32 - small.width) // 2, (32 - small.height) // 2))
    return np.asarray(result) / 255.0


def _load(config: Glyphs, cache: Path) -> ImageSet:
    return load_images(resolve(config, search=(), cache=cache), cache=cache)


def _recall(images: ImageSet) -> float:
    """Share of test images whose nearest other one, pixel by pixel, is of the same class."""
    pixels = images.images[images.split == "test"].reshape((images.split == "test").sum(), -1).astype(np.float32)
    labels = images.labels[images.split == "test"]
    pixels /= np.linalg.norm(pixels, axis=1, keepdims=True)
    similarity = pixels @ pixels.T
    np.fill_diagonal(similarity, -1)
    return float((labels[similarity.argmax(1)] == labels).mean())


def test_there_are_as_many_shapes_as_announced() -> None:
    assert len(_distinct()) == DISTINCT_SHAPES >= 300


def test_no_two_classes_share_a_rendering() -> None:
    """All of them, so within the splits and across; drawn by a renderer that the dataset does not use."""
    codes = list(_distinct())
    drawn = np.stack([_canonical(code) for code in codes]).reshape(len(codes), -1)
    ink = drawn.sum(1)
    common = drawn @ drawn.T
    squares = (drawn**2).sum(1)
    distance = (squares[:, None] + squares - 2 * common) / np.minimum.outer(ink, ink)
    np.fill_diagonal(distance, np.inf)
    nearest = np.unravel_index(distance.argmin(), distance.shape)
    named = [f"U+{codes[position]:04X}" for position in nearest]
    assert distance.min() > 0.05, f"{named} look alike"


@pytest.mark.parametrize(
    "alike",
    [
        "A\u0391\u0410",  # Latin, Greek, Cyrillic: identical outlines
        "O\u039f\u041e\u0555o\u03bf\u043e\u0585",
        "H\u0397\u041d",
        "e\u0435",
        "xX\u0445\u0425",  # the same shape in two sizes
        "cC\u0441\u03f9",
        "sS",
        "zZ",
        ".\u2022",
    ],
)
def test_of_homoglyphs_one_is_left(alike: str) -> None:
    assert sum(ord(character) in _distinct() for character in alike) <= 1


@pytest.mark.parametrize(
    "different", ["bdpq", "EFT", "nu", "69", "CO", "\u2190\u2192\u2191\u2193", "TI", "\u0416K", "QO", ":;", "()"]
)
def test_different_shapes_are_told_apart(different: str) -> None:
    masks = [fill(_outlines()[ord(character)] * 40 + 24, 48) for character in different]
    assert np.array_equal(_alike(np.stack(masks)), np.eye(len(different), dtype=bool))


def test_marks_spaces_and_composed_characters_are_not_drawn() -> None:
    drawn = _outlines()
    for character in " \u00a0\u00ad\u0301\u200d\u00e9\ufb01\u0149\u05b0":
        assert ord(character) not in drawn
    categories = {unicodedata.category(chr(code)) for code in drawn}
    assert not categories & {"Mn", "Mc", "Me", "Zs", "Cc", "Cf", "Cn"}
    assert all(len(outline) for outline in drawn.values())


def test_outlines_are_centred_and_of_one_size() -> None:
    for outline in itertools.islice(_distinct().values(), 0, None, 40):
        low, high = outline.min((0, 1)), outline.max((0, 1))
        assert np.allclose(low + high, 0)
        assert np.isclose((high - low).max(), 1)


@pytest.mark.parametrize("code", [ord("A"), ord("8"), ord("%"), 0x0416, 0x2603, 0x2658])
def test_filling_agrees_with_another_renderer(code: int) -> None:
    """On a coarse grid: the two place outlines differently by less than a pixel."""
    ours = fill(_outlines()[code] * 128 + 64, 128).reshape(8, 16, 8, 16).mean((1, 3))
    theirs = _canonical(code).reshape(8, 4, 8, 4).mean((1, 3))
    assert np.abs(ours - theirs).sum() < 0.25 * theirs.sum(), "holes filled, contours lost, or curves cut short"


def test_half_of_the_classes_train_and_half_test(cache: Path) -> None:
    images = _load(Glyphs(classes=20, images_per_class=3), cache)
    assert images.images.shape == (60, 1, 28, 28)
    sides = {int(label): set(images.split[images.labels == label]) for label in range(20)}
    assert sorted(side for (side,) in sides.values()) == ["test"] * 10 + ["train"] * 10
    assert np.bincount(images.labels).tolist() == [3] * 20
    assert all(name.startswith("U+") for name in images.class_names)


def test_a_smaller_study_uses_classes_of_a_larger_one_on_the_same_side() -> None:
    codes = list(_distinct())
    small, large = chosen_classes(codes, 100), chosen_classes(codes, 300)
    assert set(small.items()) < set(large.items())
    assert list(large.values()).count("train") == 150
    assert chosen_classes(codes[::-1], 300) == large
    rest = chosen_classes(codes, 200, skip=100)
    assert {**small, **rest} == large and not small.keys() & rest.keys()


def test_images_depend_on_character_and_number_alone(cache: Path) -> None:
    few, many = (_load(Glyphs(classes=6, images_per_class=count), cache) for count in (2, 5))
    assert np.array_equal(few.images.reshape(6, 2, -1), many.images.reshape(6, 5, -1)[:, :2])
    assert not np.array_equal(many.images[0], many.images[1])


def test_the_images_never_change() -> None:
    """Other bytes at the same `numerics_version` would be other numbers under the run ids of older runs."""
    drawn = b"".join(
        draw(_distinct()[code], code, number, size=28, difficulty=1.0).tobytes()
        for code in chosen_classes(list(_distinct()), 12)
        for number in range(3)
    )
    assert (Glyphs.numerics_version, hashlib.sha256(drawn).hexdigest()[:16]) == (1, "ab156f30c6e60544")


def test_without_difficulty_all_images_of_a_class_are_one(cache: Path) -> None:
    images = _load(Glyphs(classes=8, images_per_class=3, difficulty=0), cache)
    for label in range(8):
        drawn = images.images[images.labels == label]
        assert (drawn == drawn[0]).all()
    assert len(np.unique(images.images.reshape(24, -1), axis=0)) == 8


def test_difficulty_makes_the_task_harder(cache: Path) -> None:
    configs = [Glyphs(classes=120, images_per_class=8, difficulty=level) for level in (0, 1, 2)]
    recalls = [_recall(_load(config, cache)) for config in configs]
    assert recalls[0] == 1
    assert sorted(recalls, reverse=True) == recalls
    assert 0.2 < recalls[1] < 0.7, "at the default, pixels alone neither fail nor suffice"


@pytest.mark.parametrize("size", [16, 33, 64])
def test_other_sizes_show_the_same_shapes(size: int) -> None:
    shape = draw(_distinct()[ord("R")], ord("R"), 0, size=size, difficulty=0)
    assert shape.shape == (1, size, size)
    reference = draw(_distinct()[ord("R")], ord("R"), 0, size=64, difficulty=0)[0]
    scaled = np.asarray(Image.fromarray(reference).resize((size, size), Image.Resampling.BOX))
    assert np.abs(shape[0].astype(int) - scaled).mean() < 0.12 * 255


def test_strokes_change_but_nothing_vanishes() -> None:
    """Thin lines too (the snowman, the hand): a share of the ink is asked for and not a level that they never reach."""
    for code in [*list(_distinct())[::20], 0x2603, 0x261C]:
        mask = fill(_distinct()[code] * 80 + 56, 112)
        thin, same, thick = (_thickened(mask, growth, 28).sum() / mask.sum() for growth in (-0.7, 0, 0.7))
        assert 0.49 < thin < 0.75
        assert 1 <= same < 1.25
        assert thick > same + 0.2


def test_contrast_stays_at_every_difficulty() -> None:
    for code, number in itertools.product(list(_distinct())[::20], range(4)):
        ordinary, hard = (draw(_distinct()[code], code, number, size=28, difficulty=level) for level in (1.0, 2.0))
        assert np.ptp(ordinary) > 100
        assert np.ptp(hard) > 30


def test_more_classes_than_shapes_are_refused_when_planned(cache: Path) -> None:
    with pytest.raises(DataError, match=rf"glyphs.classes: {DISTINCT_SHAPES + 1} asked for, .* {DISTINCT_SHAPES} dist"):
        resolve(Glyphs(classes=DISTINCT_SHAPES + 1), search=(), cache=cache)
    resolve(Glyphs(classes=DISTINCT_SHAPES), search=(), cache=cache)
    with pytest.raises(DataError, match=rf"{DISTINCT_SHAPES - 1} asked for after 2 that are skipped"):
        resolve(Glyphs(classes=DISTINCT_SHAPES - 1, skip=2), search=(), cache=cache)


def test_the_revision_is_of_font_and_version_alone(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def revision(config: Glyphs) -> str:
        return resolve(config, search=(), cache=cache).revision

    known = revision(Glyphs())
    assert revision(Glyphs(classes=10, image_size=64, difficulty=0.5)) == known
    with monkeypatch.context() as patched:
        patched.setattr(Glyphs, "numerics_version", 2)
        assert revision(Glyphs()) != known
    (tmp_path / "other.ttf").write_bytes(font_file().read_bytes() + b"\0")
    monkeypatch.setattr("trainables.datasets.glyphs.font_file", lambda: tmp_path / "other.ttf")
    assert revision(Glyphs()) != known


def test_a_missing_matplotlib_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DataError, match="pip install matplotlib"):
        font_file()


def test_a_missing_font_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("matplotlib", tmp_path / "__init__.py")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(DataError, match=r"DejaVuSans.ttf does not exist; reinstall matplotlib"):
        font_file()


def test_reading_pixels_is_independent_of_order() -> None:
    with Source(Glyphs(classes=4, images_per_class=2)).open() as (index, read):
        forward = [read(number) for number in range(len(index.paths))]
        backward = [read(number) for number in reversed(range(len(index.paths)))][::-1]
    assert all(np.array_equal(a, b) for a, b in zip(forward, backward, strict=True))
