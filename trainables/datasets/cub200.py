"""CUB-200-2011 as its archive unpacks."""

from pathlib import Path

from trainables.datasets.benchmarks import BenchmarkSource, Entry, Listed
from trainables.datasets.list_files import Line, clean_path, find_list, keyed, number, read_lines
from trainables.errors import DataError

__all__ = ["Cub200"]

_TRAINING_CLASSES = 100
_NEEDS = "images.txt, image_class_labels.txt, classes.txt and images/"


class Cub200(BenchmarkSource):
    """Class ids 1-100 train, 101-200 test; `train_test_split.txt` is the split for classification and is not read.

    Pytorch-metric-learning's `CUB` has this split; its labels are not remapped and grey photographs stay grey.
    """

    def listed(self, root: Path) -> Listed:
        images = _table(root, "images.txt", ("image_id", "path"))
        labels = _table(root, "image_class_labels.txt", ("image_id", "class_id"))
        classes = _table(root, "classes.txt", ("class_id", "name"))
        if stray := sorted(set(labels) - set(images)):
            raise DataError(f"{labels[stray[0]].place}: image_id {stray[0]} is not in images.txt")
        return Listed(
            tuple(_entry(root, image, line, labels, classes) for image, line in images.items()),
            {key: line.fields[1] for key, line in classes.items()},
            ("images.txt", "image_class_labels.txt", "classes.txt"),
        )


def _table(root: Path, name: str, columns: tuple[str, str]) -> dict[int, Line]:
    return keyed(read_lines(root, find_list(root, name, needs=_NEEDS), columns), columns[0])


def _entry(root: Path, image: int, line: Line, labels: dict[int, Line], classes: dict[int, Line]) -> Entry:
    if image not in labels:
        raise DataError(f"{line.place}: image_id {image} has no row in {root / 'image_class_labels.txt'}")
    key = number(labels[image].fields[1], labels[image].place, "class_id")
    if key not in classes:
        raise DataError(f"{labels[image].place}: class_id {key} is not in {root / 'classes.txt'}")
    split = "train" if key <= _TRAINING_CLASSES else "test"
    return Entry("images/" + clean_path(line.fields[1], line.place), key, split, line.place)
