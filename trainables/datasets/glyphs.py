"""The embedded dataset: character shapes of a font of matplotlib. Planning imports this module, which draws nothing."""

import hashlib
import importlib.util
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from trainables.datasets import config
from trainables.datasets.source import SPLITS, Index, Progress, Reader
from trainables.errors import DataError
from trainables.seeds import derive_seed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["DISTINCT_SHAPES", "Glyphs", "chosen_classes", "font_file"]

DISTINCT_SHAPES = 1306
"""Characters of DejaVu Sans 2.37 that are left when lookalikes are dropped: the most that `classes` can be."""


class Glyphs:
    """The source of `glyphs`; see `trainables.datasets.source.Source`.

    The revision is a hash of the font file and `numerics_version`, known without drawing. Parameters are not in it: a
    run's identity has each of them, and so the validation folds stay the same across sizes and difficulties. No version
    of Pillow or FreeType is in it either, because neither takes part: outlines are read from the font and filled here.
    """

    def __init__(self, config: config.Glyphs) -> None:
        self.config = config

    def resolve(self, *, search: Sequence[Path], cache: Path, progress: Progress | None = None) -> config.Glyphs:
        _require(self.config, DISTINCT_SHAPES)
        content = f"glyphs {self.config.numerics_version} ".encode() + font_file().read_bytes()
        return self.config.model_copy(update={"revision": hashlib.sha256(content).hexdigest()[:16]})

    def decoder(self) -> str:
        return "outlines"

    def shape(self) -> tuple[int, int, int]:
        return 1, self.config.image_size, self.config.image_size

    @contextmanager
    def open(self) -> Iterator[tuple[Index, Reader]]:
        from trainables.datasets.glyph_drawing import draw
        from trainables.datasets.glyph_shapes import distinct_outlines

        outlines, per_class = distinct_outlines(font_file()), self.config.images_per_class
        _require(self.config, len(outlines))
        sides = chosen_classes(list(outlines), self.config.classes, skip=self.config.skip)
        codes = sorted(sides)

        def read(number: int) -> "NDArray[np.uint8]":
            code, image = codes[number // per_class], number % per_class
            size, difficulty = self.config.image_size, self.config.difficulty
            return draw(outlines[code], code, image, size=size, difficulty=difficulty)

        yield _index(codes, sides, per_class), read


def font_file() -> Path:
    """DejaVu Sans where matplotlib keeps its fonts; found without importing matplotlib.

    Raises:
        DataError: matplotlib is not installed or has no such file.
    """
    spec = importlib.util.find_spec("matplotlib")
    if spec is None or spec.origin is None:
        raise DataError(
            "dataset glyphs draws with a font of matplotlib, which is not installed; pip install matplotlib"
        )
    path = Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"
    if not path.is_file():
        raise DataError(f"dataset glyphs: {path} does not exist; reinstall matplotlib with its fonts")
    return path


def chosen_classes(codes: Sequence[int], count: int, *, skip: int = 0) -> dict[int, str]:
    """`count` code points of a fixed order after the first `skip`, with the split of each: alternately train and test.

    A smaller count chooses among the classes of a larger one, and each stays on its side.
    """
    order = sorted(codes, key=lambda code: derive_seed(0, "glyphs", "order", code))
    return {code: SPLITS[rank % 2] for rank, code in enumerate(order[skip : skip + count])}


def _require(config: config.Glyphs, available: int) -> None:
    asked = config.classes + config.skip
    if asked > available:
        passed = f" after {config.skip} that are skipped" if config.skip else ""
        raise DataError(
            f"glyphs.classes: {config.classes} asked for{passed}, the font has {available} distinct shapes; "
            "ask for fewer"
        )


def _index(codes: Sequence[int], sides: dict[int, str], per_class: int) -> Index:
    images = [(label, code, image) for label, code in enumerate(codes) for image in range(per_class)]
    return Index(
        paths=tuple(f"{sides[code]}/U+{code:04X}/{image:03d}" for _, code, image in images),
        labels=tuple(label for label, _, _ in images),
        split=tuple(sides[code] for _, code, _ in images),
        class_names=tuple(f"U+{code:04X} {unicodedata.name(chr(code), '')}".rstrip() for code in codes),
    )
