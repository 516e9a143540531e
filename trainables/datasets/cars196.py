"""Cars-196 in its three distributions. The lists of two are MATLAB files, read with scipy; see also `cars196_csv`."""

import zlib
from pathlib import Path
from typing import Any

from trainables.datasets.benchmarks import BenchmarkSource, ClassKey, Entry, Listed
from trainables.datasets.cars196_csv import NAMES, SIDES, class_names, csv_entries
from trainables.datasets.list_files import clean_path, find_list, number
from trainables.errors import DataError

__all__ = ["Cars196"]

_TRAINING_CLASSES = 98
_NEEDS = (
    "cars_annos.mat and car_ims/; or devkit/, cars_train/, cars_test/ and cars_test_annos_withlabels.mat; "
    "or names.csv, anno_train.csv, anno_test.csv and car_data/"
)
_ALL, _META, _TRAIN = "cars_annos.mat", "devkit/cars_meta.mat", "devkit/cars_train_annos.mat"
_TEST = ("devkit/cars_test_annos_withlabels.mat", "cars_test_annos_withlabels.mat")
_UNREADABLE = (OSError, ValueError, TypeError, EOFError, IndexError, NotImplementedError, zlib.error)


class Cars196(BenchmarkSource):
    """Class ids 1-98 train, 99-196 test; the split for classification that all distributions have is not used.

    Torchvision's `StanfordCars` has that closed-set split alone; pytorch-metric-learning's `Cars196` reads the Kaggle
    layout, does not remap labels, and leaves grey photographs grey.
    """

    def listed(self, root: Path) -> Listed:
        which = find_list(root, _ALL, _TRAIN, NAMES, needs=_NEEDS)
        if which == NAMES:
            return _kaggle(root)
        if which == _ALL:
            classes = _classes(root, _ALL)
            return Listed(_entries(root, _ALL, "relative_im_path", "", classes), classes, (_ALL,))
        classes = _classes(root, find_list(root, _META, needs=_NEEDS))
        test = find_list(root, *_TEST, needs=_NEEDS)
        training = _entries(root, _TRAIN, "fname", "cars_train/", classes)
        return Listed(training + _entries(root, test, "fname", "cars_test/", classes), classes, (_META, _TRAIN, test))


def _kaggle(root: Path) -> Listed:
    lists = [find_list(root, name, needs=_NEEDS) for name in SIDES.values()]
    classes = _numbered(root / NAMES, class_names(root))
    sides = [csv_entries(root, side, classes, training_classes=_TRAINING_CLASSES) for side in SIDES]
    return Listed(tuple(entry for side in sides for entry in side), classes, (NAMES, *lists))


def _classes(root: Path, name: str) -> dict[ClassKey, str]:
    return _numbered(root / name, [str(each).strip() for each in _variable(root, name, "class_names")])


def _numbered(place: Path, names: list[str]) -> dict[ClassKey, str]:
    repeated = sorted({each for each in names if names.count(each) > 1})
    if repeated:
        raise DataError(f"{place}: class_names has '{repeated[0]}' more than once; download the file again")
    return dict(enumerate(names, start=1))


def _entries(root: Path, name: str, column: str, folder: str, classes: dict[ClassKey, str]) -> tuple[Entry, ...]:
    rows = _variable(root, name, "annotations")
    if missing := [field for field in (column, "class") if field not in (rows.dtype.names or ())]:
        raise DataError(f"{root / name}: annotations have no field '{missing[0]}'; download the file again")
    found = []
    for count, (path, class_id) in enumerate(zip(rows[column], rows["class"], strict=True), start=1):
        place = f"{root / name}, annotation {count}"
        key = number(str(class_id), place, "class")
        if key not in classes:
            raise DataError(f"{place}: class {key} is not among the {len(classes)} class_names")
        split = "train" if key <= _TRAINING_CLASSES else "test"
        found.append(Entry(folder + clean_path(str(path), place), key, split, place))
    return tuple(found)


def _variable(root: Path, name: str, variable: str) -> Any:
    """A variable of a MATLAB file as a NumPy array of one dimension; a struct array has named fields."""
    import numpy as np
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        content = loadmat(root / name, squeeze_me=True, variable_names=[variable])
    except (*_UNREADABLE, MatReadError) as error:
        raise DataError(f"{root / name} is not a readable MATLAB file ({error}); download it again") from error
    if variable not in content:
        raise DataError(f"{root / name}: no variable '{variable}'; this is another file, or it is damaged")
    return np.atleast_1d(content[variable])
