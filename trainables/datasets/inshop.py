"""In-shop Clothes Retrieval (DeepFashion) as its archives unpack."""

from pathlib import Path

from trainables.datasets import config
from trainables.datasets.benchmarks import BenchmarkSource, Entry, Listed
from trainables.datasets.list_files import Line, clean_path, find_list, number, read_lines, refuse_header
from trainables.datasets.source import SEARCHED
from trainables.errors import DataError

__all__ = ["InShop"]

_LIST = "list_eval_partition.txt"
_COLUMNS = ("image_name", "item_id", "evaluation_status")
_STATUS = ("train", *SEARCHED)
_NEEDS = "Eval/list_eval_partition.txt and Img/img/"


class InShop(BenchmarkSource):
    """A class is one item of clothing; each query searches the gallery, which has no other queries in it."""

    config: config.InShop

    def listed(self, root: Path) -> Listed:
        name = find_list(root, f"Eval/{_LIST}", _LIST, f"Anno/{_LIST}", needs=_NEEDS)
        lines = _lines(root, name)
        folder = self._folder(root)
        entries = tuple(_entry(line, folder) for line in lines)
        return Listed(entries, {entry.key: str(entry.key) for entry in entries}, (name,))

    def _folder(self, root: Path) -> str:
        """Where the images lie whose names in the list begin with `img/`."""
        name = self.config.images
        return f"Img/{name}" if (root / "Img" / name).is_dir() else name


def _lines(root: Path, name: str) -> list[Line]:
    refuse_header(root, name, _COLUMNS, line=2)
    first, *_ = read_lines(root, name, ("number of images",))
    lines = read_lines(root, name, _COLUMNS, skip=2)
    if number(first.fields[0], first.place, "number of images") != len(lines):
        raise DataError(f"{first.place}: {first.fields[0]} images are announced, {len(lines)} rows follow")
    return lines


def _entry(line: Line, folder: str) -> Entry:
    path, item, status = line.fields
    if status not in _STATUS:
        raise DataError(f"{line.place}: unknown evaluation_status '{status}'; known are {', '.join(_STATUS)}")
    inside = clean_path(path, line.place)
    if not inside.startswith("img/"):
        raise DataError(f"{line.place}: image_name '{path}' does not begin with 'img/'")
    return Entry(f"{folder}/{inside.removeprefix('img/')}", item, status, line.place)
