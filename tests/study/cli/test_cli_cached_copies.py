"""`datasets verify` also reads the copies of a dataset that runs take their pixels from."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trainables.datasets.cache import IMAGES
from trainables.datasets.catalog import images_folder, load_images, resolve
from trainables.datasets.config import Glyphs

Call = Callable[..., Any]
VERIFY = ("datasets", "verify", "glyphs", "-s", "classes=4", "--cache")


def stored(cache: Path, **fields: Any) -> Path:
    """The cache entry of a glyphs dataset, as a run leaves it."""
    config = resolve(Glyphs(classes=4, images_per_class=3, **fields), search=(), cache=cache)
    load_images(config, cache=cache)
    return images_folder(config, cache=cache)


def flip_last_byte(folder: Path) -> None:
    content = bytearray((folder / IMAGES).read_bytes())
    content[-1] ^= 1
    (folder / IMAGES).chmod(0o644)
    (folder / IMAGES).write_bytes(content)


def test_whole_copies_are_counted_at_every_size(dml_study: Call, tmp_path: Path) -> None:
    assert "image cache" not in dml_study(*VERIFY, tmp_path / "cache").out
    stored(tmp_path / "cache")
    stored(tmp_path / "cache", image_size=16)
    done = dml_study(*VERIFY, tmp_path / "cache")
    assert done.code == 0
    assert "copies of it in the image cache: 2, and every pixel is as it was decoded" in done.out


@pytest.mark.parametrize("fields", [{}, {"image_size": 16}])
def test_a_flipped_byte_is_reported_with_the_remedy(fields: dict[str, int], dml_study: Call, tmp_path: Path) -> None:
    folder = stored(tmp_path / "cache", **fields)
    flip_last_byte(folder)
    done = dml_study(*VERIFY, tmp_path / "cache")
    assert done.code == 2
    assert str(folder) in done.err
    assert "delete the folder" in done.err


def test_copies_of_other_datasets_and_broken_ones_are_left_alone(dml_study: Call, tmp_path: Path) -> None:
    broken = stored(tmp_path / "cache", image_size=16)
    next(broken.glob("*.json")).write_text("{")
    done = dml_study(*VERIFY, tmp_path / "cache")
    assert done.code == 0
    assert "image cache" not in done.out
