"""Text files that list images: one row per line, columns apart by blanks. Every fault is named with file and line."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from trainables.errors import DataError

__all__ = ["Line", "clean_path", "find_list", "keyed", "number", "read_lines", "refuse_header"]


@dataclass(frozen=True)
class Line:
    """One row: its fields, and where it stands for messages."""

    place: str
    fields: tuple[str, ...]


def find_list(root: Path, *names: str, needs: str) -> str:
    """The first of some files of a dataset's folder that exists.

    Args:
        names: relative to the folder.
        needs: what a folder of this dataset holds, for the message.

    Raises:
        DataError: none of them exists.
    """
    if not root.is_dir():
        raise DataError(f"{root} is not a folder; unpack the archive and name its folder, which has {needs}")
    for name in names:
        if (root / name).is_file():
            return name
    raise DataError(f"{root}: no file {' or '.join(names)}; name the folder of the unpacked archive, which has {needs}")


def read_lines(root: Path, name: str, columns: Sequence[str], *, skip: int = 0) -> list[Line]:
    """The rows of a list; empty lines are left out, the last column may hold blanks.

    Args:
        name: of the file, relative to `root`.
        columns: what the rows hold, for the number of fields and for messages.
        skip: lines at the top that are no rows.

    Raises:
        DataError: not UTF-8 text, or a row with another number of fields.
    """
    rows, path = [], root / name
    for count, line in enumerate(_text(path), start=1):
        fields = tuple(line.strip().split(maxsplit=len(columns) - 1))
        if count <= skip or not fields:
            continue
        place = f"{path}, line {count}"
        if len(fields) != len(columns):
            raise DataError(
                f"{place}: expected '{' '.join(columns)}', found '{line.strip()}'; unpack the archive again"
            )
        rows.append(Line(place, fields))
    return rows


def _text(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as UTF-8 text ({error}); unpack the archive again") from error


def refuse_header(root: Path, name: str, columns: Sequence[str], *, line: int = 1) -> None:
    """Looks at the line that names the columns.

    Raises:
        DataError: it is another one.
    """
    text = _text(root / name)
    found = text[line - 1].split() if len(text) >= line else []
    if found != list(columns):
        raise DataError(
            f"{root / name}, line {line}: expected the header '{' '.join(columns)}', found '{' '.join(found)}'; "
            "this is another file, or its header was lost"
        )


def number(text: str, place: str, column: str, *, first: int = 1) -> int:
    """A field that is an id.

    Args:
        first: the smallest id.

    Raises:
        DataError: it is no integer, or a smaller one.
    """
    if not text.isascii() or not text.isdigit() or int(text) < first:
        raise DataError(f"{place}: {column} is '{text}', expected an integer from {first} on")
    return int(text)


def keyed(lines: Iterable[Line], column: str) -> dict[int, Line]:
    """Rows by the id in their first column.

    Raises:
        DataError: an id is no number or occurs twice.
    """
    found: dict[int, Line] = {}
    for line in lines:
        key = number(line.fields[0], line.place, column)
        if key in found:
            raise DataError(f"{line.place}: {column} {key} is there already, in {found[key].place}; keep one of them")
        found[key] = line
    return found


def clean_path(text: str, place: str) -> str:
    """A path of a list with forward slashes, whatever system wrote it.

    Raises:
        DataError: it is absolute or leaves the folder.
    """
    parts = text.replace("\\", "/").split("/")
    if not parts[0] or ":" in parts[0] or ".." in parts:
        raise DataError(f"{place}: path '{text}' is not within the dataset's folder; write it relative to the images")
    return "/".join(part for part in parts if part not in ("", "."))
