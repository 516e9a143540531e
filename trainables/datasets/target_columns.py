"""Continuous labels from the columns of a CSV file, one row per image. Free of numpy: planning reads them too."""

import csv
import io
from collections.abc import Collection, Iterator, Mapping, Sequence
from math import isfinite
from pathlib import PurePosixPath

from trainables.datasets.files import DAMAGED, Files
from trainables.errors import DataError
from trainables.spelling import nearest

__all__ = ["LABEL_FILE", "read_columns", "read_label_file"]

LABEL_FILE = "labels.csv"
"""Beside the splits of a directory or zip; its column `path` names the images."""

_OPTION = "dataset.target_columns"
_SHOWN = 3

Row = tuple[int, dict[str, str | None]]
"""Line number and fields."""


def read_label_file(files: Files, columns: Sequence[str], paths: Sequence[str]) -> tuple[tuple[float, ...], ...]:
    """`read_columns` of the label file that a directory or zip holds beside its splits.

    Raises:
        DataError: it has no such file, or one that cannot be used.
    """
    if LABEL_FILE not in files.stamps:
        raise DataError(
            f"{files.location}: no {LABEL_FILE} beside the splits; {_OPTION} needs this file with the columns path, "
            f"{', '.join(columns)}"
        )
    try:
        content = files.read(LABEL_FILE)
    except DAMAGED as error:
        raise DataError(f"{files.location}: {LABEL_FILE} cannot be read ({error}); replace it") from error
    return read_columns(f"{files.location}: {LABEL_FILE}", content, columns, paths)


def read_columns(
    place: str, content: bytes, columns: Sequence[str], paths: Sequence[str], *, path_column: str = "path"
) -> tuple[tuple[float, ...], ...]:
    """The numbers in some columns of a CSV file, one tuple per image in the order of `paths`.

    Rows of other images are left alone. The name of an image is relative to the file, or has the dataset's outer folder
    in front.

    Args:
        place: of the file, for messages.
        content: its bytes, UTF-8.
        columns: of numbers.
        paths: images, relative to the file.
        path_column: the one that names the image.

    Raises:
        DataError: a column is missing, a value is empty or no finite number, an image has no row or two.
    """
    table = _table(place, content, columns, path_column)
    rows = _rows_by_image(place, table, frozenset(paths), path_column)
    if missing := [path for path in paths if path not in rows]:
        named = ", ".join(f"'{path}'" for path in missing[:_SHOWN])
        more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        raise DataError(f"{place}: {len(missing)} of {len(paths)} images have no row: {named}{more}; add them")
    return tuple(tuple(_number(place, rows[path], column) for column in columns) for path in paths)


def _table(place: str, content: bytes, columns: Sequence[str], path_column: str) -> Iterator[Row]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{place} is not UTF-8 text ({error.reason}); save it as UTF-8") from error
    table = csv.DictReader(io.StringIO(text))
    found = list(table.fieldnames or ())
    for column in (path_column, *columns):
        if column not in found:
            hint = nearest(column, found) if found else "the file has no header"
            named = "" if column == path_column else f" of {_OPTION}"
            raise DataError(f"{place}: column '{column}'{named} is missing; {hint}")
    return ((table.line_num, row) for row in table)


def _rows_by_image(place: str, table: Iterator[Row], paths: Collection[str], path_column: str) -> Mapping[str, Row]:
    rows: dict[str, Row] = {}
    for line, row in table:
        name = str(PurePosixPath(row[path_column] or ""))
        written = name if name in paths else str(PurePosixPath(name.replace("\\", "/")))
        path = written if written in paths else written.partition("/")[2]
        if path in rows:
            raise DataError(f"{place}, line {line}: '{written}' has a row already, line {rows[path][0]}; keep one")
        if path in paths:
            rows[path] = (line, row)
    return rows


def _number(place: str, row: Row, column: str) -> float:
    line, fields = row
    text = (fields[column] or "").strip()
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if isfinite(value):
        return value
    what = f"'{text}' is no finite number" if text else "is empty"
    raise DataError(f"{place}, line {line}: column '{column}' {what}; every image needs a number there")
