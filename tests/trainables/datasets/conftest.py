"""Small datasets on disk; makes `image_sources` importable for the tests beside it."""

import sys
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))

SMALL = {"train/a": 3, "train/b": 2, "test/c": 2, "test/d": 1}


@pytest.fixture
def save_image() -> Callable[..., None]:
    """Writes a small colour image of random noise; equal seeds give equal bytes."""

    def save(path: Path, *, seed: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(seed).integers(0, 256, (10, 12, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)

    return save


@pytest.fixture
def make_tree(tmp_path: Path, save_image: Callable[..., None]) -> Callable[..., Path]:
    """Writes `{"<split>/<class>": number of images}` as PNG files; returns the folder."""

    def make(layout: Mapping[str, int] = SMALL, *, name: str = "tree") -> Path:
        for folder, count in layout.items():
            (tmp_path / name / folder).mkdir(parents=True, exist_ok=True)
            for number in range(count):
                save_image(tmp_path / name / folder / f"{number}.png", seed=number)
        return tmp_path / name

    return make


@pytest.fixture
def zipped() -> Callable[..., Path]:
    """Packs a folder beside itself, its files below `inside`."""

    def pack(folder: Path, *, inside: str = "", name: str | None = None) -> Path:
        path = folder.parent / (name or f"{folder.name}.zip")
        with zipfile.ZipFile(path, "w") as archive:
            for file in sorted(folder.rglob("*")):
                if file.is_file():
                    archive.write(file, inside + file.relative_to(folder).as_posix())
        return path

    return pack


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A cache of this test's own."""
    return tmp_path / "cache"
