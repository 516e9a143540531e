"""From file names or a CSV file to an index: which image is of which class in which split, and what cannot be used."""

import csv
import io
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from trainables.datasets.files import Files
from trainables.datasets.source import SPLITS, Index
from trainables.errors import DataError

__all__ = ["IMAGE_SUFFIXES", "Sample", "index_of_files", "index_of_samples", "read_csv"]

IMAGE_SUFFIXES = frozenset([".bmp", ".gif", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"])

_LAYOUT = "a dataset is laid out as <split>/<class>/<image> with the splits 'train' and 'test'"
_SHOWN = 5


@dataclass(frozen=True, order=True)
class Sample:
    """One image: where it is, its class and its split."""

    path: str
    class_name: str
    split: str


def index_of_files(files: Files) -> Index:
    """The index of `<split>/<class>/<image>`. Files outside class folders and of other types are left alone.

    Raises:
        DataError: the layout is another one, a split is missing, a class is empty or in both splits.
    """
    images = [name for name in files.stamps if PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES]
    _refuse_layout(files, images)
    samples = [Sample(path, path.split("/")[1], path.split("/")[0]) for path in images if "/" in path]
    filled = {(sample.split, sample.class_name) for sample in samples}
    empty = [name for name in sorted(files.folders) if name.count("/") == 1 and tuple(name.split("/")) not in filled]
    if empty:
        known = " ".join(sorted(IMAGE_SUFFIXES))
        raise DataError(f"{files.location}: no image in {_some(empty)}; remove empty class folders (read are {known})")
    return index_of_samples(files.location, samples)


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


def index_of_samples(place: Path, samples: Iterable[Sample]) -> Index:
    """The index of labelled images: classes by name, images by path.

    Raises:
        DataError: a split is missing, a class is in both splits, or two class names look the same.
    """
    ordered = sorted(samples)
    splits: dict[str, set[str]] = defaultdict(set)
    for sample in ordered:
        splits[sample.split].add(sample.class_name)
    names = sorted({sample.class_name for sample in ordered})
    _refuse_lookalikes(place, names)
    for split in SPLITS:
        if not splits[split]:
            raise DataError(f"{place}: no image of the split '{split}'; {_LAYOUT}")
    if shared := sorted(splits["train"] & splits["test"]):
        raise DataError(
            f"{place}: {len(shared)} classes are in both splits: {_some(shared)}; retrieval is measured on unseen "
            "classes, so move each class into one split"
        )
    position = {name: number for number, name in enumerate(names)}
    return Index(
        paths=tuple(sample.path for sample in ordered),
        labels=tuple(position[sample.class_name] for sample in ordered),
        split=tuple(sample.split for sample in ordered),
        class_names=tuple(names),
    )


def _refuse_lookalikes(place: Path, names: Iterable[str]) -> None:
    spellings: dict[str, list[str]] = defaultdict(list)
    for name in names:
        spellings[unicodedata.normalize("NFC", name.strip())].append(name)
    for same in spellings.values():
        if len(same) > 1:
            written = ", ".join(ascii(name) for name in same)
            raise DataError(
                f"{place}: duplicate class names, they differ in spaces or accents only: {written}; merge them"
            )


def read_csv(path: Path) -> list[Sample]:
    """The rows of a CSV file with a header and the columns path (relative to the file), label and split.

    Raises:
        DataError: not such a file, a column or a value is missing, an unknown split, a path that occurs twice.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text ({error.reason}); save it as UTF-8") from error
    table = csv.DictReader(io.StringIO(text))
    _refuse_columns(path, table.fieldnames or ())
    samples = [_sample(path, table.line_num, row) for row in table]
    if not samples:
        raise DataError(f"{path}: no rows; it needs one row per image with path, label and split")
    counts = Counter(sample.path for sample in samples)
    if twice := [name for name, count in counts.items() if count > 1]:
        raise DataError(f"{path}: column 'path' names an image more than once: {_some(twice)}; keep one row of each")
    return samples


def _refuse_columns(path: Path, found: Collection[str]) -> None:
    if missing := [column for column in ("path", "label", "split") if column not in found]:
        raise DataError(
            f"{path}: column {_some(missing)} is missing, found {_some(list(found)) or 'none'}; "
            "the first line names the columns path, label, split"
        )


def _sample(path: Path, line: int, row: dict[str, str | None]) -> Sample:
    for column in ("path", "label", "split"):
        if not (row[column] or "").strip():
            raise DataError(f"{path}, line {line}: column '{column}' is empty; every image needs path, label and split")
    name, label, split = str(row["path"]), str(row["label"]), str(row["split"])
    if split not in SPLITS:
        raise DataError(f"{path}, line {line}: unknown split '{split}'; write 'train' or 'test'")
    if PurePosixPath(name).is_absolute():
        raise DataError(f"{path}, line {line}: path '{name}' is absolute; write it relative to the CSV file")
    return Sample(str(PurePosixPath(name)), label, split)


def _some(names: Sequence[str]) -> str:
    """`'a', 'b' and 3 more`."""
    shown = ", ".join(f"'{name}'" for name in names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} more"
