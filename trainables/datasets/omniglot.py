"""Omniglot as its two archives unpack. Planning imports this module, which decodes nothing."""

from pathlib import Path
from typing import Literal

from trainables.datasets import config
from trainables.datasets.benchmarks import BenchmarkSource, ClassKey, Entry, Listed
from trainables.datasets.files import is_junk
from trainables.errors import DataError

__all__ = ["Omniglot"]

_SIDES = {"images_background": "train", "images_evaluation": "test"}
_NEEDS = "images_background/ and images_evaluation/, each of alphabet/character/*.png"


class Omniglot(BenchmarkSource):
    """A class is one character of one alphabet; background trains, evaluation tests, and no alphabet is in both.

    Torchvision's `Omniglot` is not used: it is one side at a time, both count labels from 0, and it takes a folder for
    right when the archive beside it is.
    """

    config: config.Omniglot

    @property
    def channels(self) -> Literal[1, 3]:
        return self.config.channels

    def listed(self, root: Path) -> Listed:
        characters = [each for side in _SIDES for each in _characters(root, side)]
        entries = tuple(entry for folder in characters for entry in _drawings(root, folder))
        classes: dict[ClassKey, str] = {_key(folder): _key(folder) for folder in characters}
        return Listed(entries, classes, ())


def _characters(root: Path, side: str) -> list[Path]:
    if not (root / side).is_dir():
        raise DataError(
            f"{root}: no folder {side}; name the folder in which both archives were unpacked, with {_NEEDS}"
        )
    alphabets = _folders(root / side)
    return [character for alphabet in alphabets for character in _folders(alphabet)]


def _folders(place: Path) -> list[Path]:
    return sorted(each for each in place.iterdir() if each.is_dir() and not is_junk(each.name))


def _key(folder: Path) -> str:
    return f"{folder.parent.name}/{folder.name}"


def _drawings(root: Path, folder: Path) -> list[Entry]:
    inside = folder.relative_to(root)
    names = sorted(path.name for path in folder.iterdir() if path.suffix.lower() == ".png")
    split = _SIDES[inside.parts[0]]
    return [Entry((inside / name).as_posix(), _key(folder), split, str(folder)) for name in names]
