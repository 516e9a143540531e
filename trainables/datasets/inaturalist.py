"""iNaturalist 2018 with the class-disjoint lists of metric learning."""

from pathlib import Path

from trainables.datasets.benchmarks import BenchmarkSource, ClassKey, Entry, Listed
from trainables.datasets.list_files import Line, clean_path, find_list, number, read_lines
from trainables.errors import DataError

__all__ = ["INaturalist"]

_LISTS = {"Inaturalist_train_set1.txt": "train", "Inaturalist_test_set1.txt": "test"}
_NEEDS = "train_val2018/ and Inat_dataset_splits/ with " + " and ".join(_LISTS)


class INaturalist(BenchmarkSource):
    """The lists of Brown et al., "Smooth-AP", ECCV 2020: one path a line, the folder of a file is its species.

    Torchvision's `INaturalist` is not used, whose split is closed-set; nor pytorch-metric-learning's `INaturalist2018`:
    labels are neither remapped nor in the lists, grey photographs stay grey, and two annotation files of the challenge
    are parsed for what folders say. Counts are not checked: those packages state none.
    """

    def listed(self, root: Path) -> Listed:
        names = {find_list(root, f"Inat_dataset_splits/{name}", name, needs=_NEEDS): _LISTS[name] for name in _LISTS}
        entries = tuple(
            _entry(line, split) for name, split in names.items() for line in read_lines(root, name, ("path",))
        )
        classes: dict[ClassKey, str] = {entry.key: "/".join(entry.path.split("/")[1:3]) for entry in entries}
        return Listed(entries, classes, tuple(names))


def _entry(line: Line, split: str) -> Entry:
    path = clean_path(line.fields[0], line.place)
    parts = path.split("/")
    if len(parts) != 4:
        raise DataError(f"{line.place}: path '{path}' is not train_val2018/<kingdom>/<species>/<image>")
    return Entry(path, number(parts[2], line.place, "species", first=0), split, line.place)
