"""Stanford Online Products as its archive unpacks."""

from pathlib import Path

from trainables.datasets.benchmarks import BenchmarkSource, ClassKey, Entry, Listed
from trainables.datasets.list_files import clean_path, find_list, number, read_lines, refuse_header

__all__ = ["Sop"]

_LISTS = {"Ebay_train.txt": "train", "Ebay_test.txt": "test"}
_COLUMNS = ("image_id", "class_id", "super_class_id", "path")
_NEEDS = "Ebay_train.txt, Ebay_test.txt and folders like bicycle_final/"


class Sop(BenchmarkSource):
    """A list per split; a class is one product, named by its kind and its id."""

    def listed(self, root: Path) -> Listed:
        entries = tuple(entry for name, split in _LISTS.items() for entry in _entries(root, name, split))
        classes: dict[ClassKey, str] = {entry.key: f"{_kind(entry.path)} {entry.key}" for entry in entries}
        return Listed(entries, classes, tuple(_LISTS))


def _entries(root: Path, name: str, split: str) -> list[Entry]:
    refuse_header(root, find_list(root, name, needs=_NEEDS), _COLUMNS)
    return [
        Entry(clean_path(line.fields[3], line.place), number(line.fields[1], line.place, "class_id"), split, line.place)
        for line in read_lines(root, name, _COLUMNS, skip=1)
    ]


def _kind(path: str) -> str:
    return path.split("/", maxsplit=1)[0].removesuffix("_final")
