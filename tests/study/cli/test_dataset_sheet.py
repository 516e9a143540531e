"""The sheet of samples: one picture, whatever the number of images."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from study.cli.dataset_sheet import write_sheet
from trainables.datasets.inspection import SampleRow
from trainables.errors import ConfigError


def row(*values: int, shape: tuple[int, int, int] = (1, 8, 8)) -> SampleRow:
    return SampleRow("test", "a name", tuple(np.full(shape, value, np.uint8) for value in values))


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


def test_images_stand_side_by_side_in_whole_multiples_of_their_pixels(tmp_path: Path) -> None:
    write_sheet(tmp_path / "s.png", [row(60, 120), row(180)], title="t")
    sheet = pixels(tmp_path / "s.png")
    for value in (60, 120, 180):
        where = np.argwhere((sheet == value).all(axis=2))
        assert set(where.max(axis=0) - where.min(axis=0) + 1) >= {144}  # 8 pixels at 18 times


def test_many_images_are_drawn_smaller_and_labels_are_not(tmp_path: Path) -> None:
    write_sheet(tmp_path / "s.png", [row(*[60] * 100, shape=(3, 32, 24))] * 200, title="t")
    height, width, _ = pixels(tmp_path / "s.png").shape
    assert width == 100 * (24 + 4) + 4
    assert height == 2 * 20 + 200 * (20 + 32 + 4)


def test_names_are_never_cut(tmp_path: Path) -> None:
    write_sheet(tmp_path / "s.png", [SampleRow("test", "long\n" * 40, row(60).images)], title="t")
    sheet = pixels(tmp_path / "s.png")
    assert sheet.shape[1] > 40 * 30
    assert (sheet[:, -4:] == 255).all()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        write_sheet(tmp_path / "file" / "s.png", [row(1)], title="t")
