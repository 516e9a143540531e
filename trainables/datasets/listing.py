"""From file names or a CSV file to an index: which image is of which class in which split, and what cannot be used."""

import csv
import difflib
import io
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from trainables.datasets.files import Files
from trainables.datasets.source import SEARCHED, SPLITS, Index, Tell
from trainables.errors import DataError

__all__ = ["IMAGE_SUFFIXES", "Columns", "Sample", "index_of_files", "index_of_samples", "read_csv"]

IMAGE_SUFFIXES = frozenset([".bmp", ".gif", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"])

_LAYOUT = "a dataset is laid out as <split>/<class>/<image> with the splits 'train' and 'test'"
_SPLIT_WORDS = "'train' or 'test' (or 'train', 'query' and 'gallery')"
_SHOWN = 5


@dataclass(frozen=True, order=True)
class Sample:
    """One image: where it is, its class and its split."""

    path: str
    class_name: str
    split: str


def index_of_files(files: Files, tell: Tell) -> Index:
    """The index of `<split>/<class>/<image>`. Files outside class folders and of other types are left alone.

    Args:
        tell: gets the faults of `index_of_samples`, and classes without images.

    Raises:
        DataError: the layout is another one, or a split has no folder.
    """
    images = [name for name in files.stamps if PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES]
    _refuse_layout(files, images)
    samples = [Sample(path, path.split("/")[1], path.split("/")[0]) for path in images if "/" in path]
    filled = {(sample.split, sample.class_name) for sample in samples}
    empty = [name for name in sorted(files.folders) if name.count("/") == 1 and tuple(name.split("/")) not in filled]
    if empty:
        known = " ".join(sorted(IMAGE_SUFFIXES))
        tell(f"{files.location}: no image in {_some(empty)}; remove empty class folders (read are {known})")
    return index_of_samples(files.location, samples, tell)


def _refuse_layout(files: Files, images: Sequence[str]) -> None:
    top = {name for name in files.folders if "/" not in name}
    place = files.location
    if not images:
        raise DataError(f"{place}: no images found; {_LAYOUT}")
    if unknown := sorted(top - set(SPLITS)):
        raise DataError(f"{place}: unknown split folder {_some(unknown)}; {_LAYOUT}: rename or remove it")
    if missing := [split for split in SPLITS if split not in top]:
        raise DataError(f"{place}: no folder '{missing[0]}', found {_some(sorted(top)) or 'none'}; {_LAYOUT}")
    if stray := [name for name in images if name.count("/") == 1]:
        raise DataError(f"{place}: images outside a class folder: {_some(stray)}; {_LAYOUT}")
    if deep := [name for name in images if name.count("/") > 2]:
        raise DataError(f"{place}: images below a class folder: {_some(deep)}; {_LAYOUT}: one folder per class")


def index_of_samples(place: Path, samples: Iterable[Sample], tell: Tell) -> Index:
    """The index of labelled images: classes by name, images by path.

    Args:
        tell: gets the faults: a split is missing, a class is in both splits, a class has queries and no image in
            the gallery, two class names look the same.
    """
    ordered = sorted(samples)
    splits: dict[str, set[str]] = defaultdict(set)
    for sample in ordered:
        splits[sample.split].add(sample.class_name)
    names = sorted({sample.class_name for sample in ordered})
    _tell_lookalikes(place, names, tell)
    needed = ("train", *SEARCHED) if set(SEARCHED) & set(splits) else SPLITS
    for split in needed:
        if not splits[split]:
            tell(f"{place}: no image of the split '{split}'; {_LAYOUT}")
    if mixed := sorted(set(splits) - set(needed)):
        tell(f"{place}: images of the split '{mixed[0]}' beside queries and a gallery; write {_SPLIT_WORDS}")
    if shared := sorted(splits["train"] & set[str]().union(*(splits[split] for split in needed if split != "train"))):
        tell(
            f"{place}: {len(shared)} classes are in both splits: {_some(shared)}; retrieval is measured on unseen "
            "classes, so move each class into one split"
        )
    if splits["gallery"] and (alone := sorted(splits["query"] - splits["gallery"])):
        tell(f"{place}: no image in the gallery for queries of class {_some(alone)}; add some, or remove these queries")
    position = {name: number for number, name in enumerate(names)}
    return Index(
        paths=tuple(sample.path for sample in ordered),
        labels=tuple(position[sample.class_name] for sample in ordered),
        split=tuple(sample.split for sample in ordered),
        class_names=tuple(names),
    )


def _tell_lookalikes(place: Path, names: Iterable[str], tell: Tell) -> None:
    spellings: dict[str, list[str]] = defaultdict(list)
    for name in names:
        spellings[unicodedata.normalize("NFC", name.strip())].append(name)
    for same in spellings.values():
        if len(same) > 1:
            written = ", ".join(ascii(name) for name in same)
            tell(f"{place}: duplicate class names, they differ in spaces or accents only: {written}; merge them")


@dataclass(frozen=True)
class Columns:
    """What a CSV file calls the columns."""

    path: str = "path"
    label: str = "label"
    split: str = "split"


def read_csv(path: Path, columns: Columns = Columns()) -> list[Sample]:
    """The rows of a CSV file with a header and the columns path (relative to the file), label and split.

    Raises:
        DataError: not such a file, a column or a value is missing, an unknown split, a path that occurs twice.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text ({error.reason}); save it as UTF-8") from error
    table = csv.DictReader(io.StringIO(text))
    _refuse_columns(path, table.fieldnames or (), columns)
    samples = [_sample(path, table.line_num, row, columns) for row in table]
    if not samples:
        raise DataError(f"{path}: no rows; it needs one row per image with path, label and split")
    counts = Counter(sample.path for sample in samples)
    if twice := [name for name, count in counts.items() if count > 1]:
        raise DataError(
            f"{path}: column '{columns.path}' names an image more than once: {_some(twice)}; keep one row of each"
        )
    return samples


def _refuse_columns(path: Path, found: Collection[str], columns: Columns) -> None:
    wanted = (columns.path, columns.label, columns.split)
    if missing := [column for column in wanted if column not in found]:
        near = difflib.get_close_matches(missing[0], [name for name in found if name not in wanted], n=1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        raise DataError(
            f"{path}: column {_some(missing)} is missing, found {_some(list(found)) or 'none'}; {hint}the first line "
            f"names the columns {', '.join(wanted)}; other names are said with path_column, label_column, split_column"
        )
    if twice := sorted({column for column in wanted if list(found).count(column) > 1 or wanted.count(column) > 1}):
        raise DataError(f"{path}: column {_some(twice)} is there, or named, more than once; keep one of each")


def _sample(path: Path, line: int, row: dict[str, str | None], columns: Columns) -> Sample:
    wanted = (columns.path, columns.label, columns.split)
    for column in wanted:
        if not (row[column] or "").strip():
            named = f"{', '.join(wanted[:2])} and {wanted[2]}"
            raise DataError(f"{path}, line {line}: column '{column}' is empty; every image needs {named}")
    name, label, split = (str(row[column]) for column in wanted)
    if split not in (*SPLITS, *SEARCHED):
        raise DataError(f"{path}, line {line}: unknown split '{split}'; write {_SPLIT_WORDS}")
    if "\\" in name and not (path.parent / name).is_file():  # elsewhere than on Windows a name may hold one
        name = name.replace("\\", "/")
    if PurePosixPath(name).is_absolute() or name[1:2] == ":":
        raise DataError(f"{path}, line {line}: path '{name}' is absolute; write it relative to the CSV file")
    return Sample(str(PurePosixPath(name)), label, split)


def _some(names: Sequence[str]) -> str:
    """`'a', 'b' and 3 more`."""
    shown = ", ".join(f"'{name}'" for name in names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} more"
