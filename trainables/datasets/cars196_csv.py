"""Cars-196 as Kaggle has it: three CSV files without headers, and a folder per class below each of two sides."""

import csv
from pathlib import Path

from trainables.datasets.benchmarks import ClassKey, Entry
from trainables.datasets.list_files import clean_path, number
from trainables.errors import DataError

__all__ = ["NAMES", "SIDES", "class_names", "csv_entries"]

NAMES = "names.csv"
"""A class name per line, in the order of class ids."""
SIDES = {"train": "anno_train.csv", "test": "anno_test.csv"}
"""Sides of the split for classification, which are merged, and their lists."""

_COLUMNS = "file, x1, y1, x2, y2, class"


def class_names(root: Path) -> list[str]:
    """The names in the order of class ids, quoted or not."""
    return [line.strip().strip('"') for line in _text(root / NAMES).splitlines() if line.strip()]


def csv_entries(root: Path, side: str, classes: dict[ClassKey, str], *, training_classes: int) -> tuple[Entry, ...]:
    """The images of one side; class ids up to `training_classes` train.

    Raises:
        DataError: a row that is not "file, x1, y1, x2, y2, class".
    """
    path, found = root / SIDES[side], []
    for count, row in enumerate(csv.reader(_text(path).splitlines()), start=1):
        place = f"{path}, line {count}"
        if not row:
            continue
        if len(row) != 6:
            raise DataError(f"{place}: expected '{_COLUMNS}', found '{','.join(row)}'; unpack the archive again")
        key = number(row[-1].strip(), place, "class")
        if key not in classes:
            raise DataError(f"{place}: class {key} is not among the {len(classes)} names of {root / NAMES}")
        folder = f"car_data/car_data/{side}/{classes[key].replace('/', '-')}"
        found.append(
            Entry(f"{folder}/{clean_path(row[0], place)}", key, "train" if key <= training_classes else "test", place)
        )
    return tuple(found)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as UTF-8 text ({error}); unpack the archive again") from error
