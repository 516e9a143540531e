"""Embeddings and labels that others wrote, from files. Nothing that is read runs code."""

import csv
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trainables.errors import DataError
from trainables.evaluation.names import DEFAULT_METRICS, metric_name

if TYPE_CHECKING:
    from trainables.evaluation.scoring import Distance

__all__ = ["LabeledSet", "ScoredFiles", "encoded", "read_set", "score_files"]

_LABEL_COLUMNS = ("label", "labels", "class", "class_name", "class_id", "target")
_SHOWN = 5
_Columns = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class LabeledSet:
    """Vectors with their classes.

    Attributes:
        embeddings: [N, D], floating point, finite.
        labels: [N], integers or text.
        gallery: [N], which of them are searched by the others; None where the file does not say.
    """

    embeddings: NDArray[Any]
    labels: NDArray[Any]
    gallery: NDArray[np.bool_] | None = None

    def part(self, chosen: NDArray[np.bool_]) -> "LabeledSet":
        """Some rows."""
        return LabeledSet(self.embeddings[chosen], self.labels[chosen])


def read_set(path: Path, labels: Path | None = None) -> LabeledSet:
    """
    Args:
        path: embeddings in .npy [N, D], .npz (array `embeddings`) or .parquet (column `embedding`).
        labels: .npy [N], .csv or .txt (a line per row, or a column `label`), .npz or .parquet; by default those in
            `path`, which the files of `dml-study export embeddings` have.

    Raises:
        DataError: a file is missing, damaged or of another kind, has no numbers, or the rows do not belong together.
    """
    content = _read(path)
    vectors = _vectors(content, path)
    found = _labels(content if labels is None else _read(labels), path if labels is None else labels)
    if len(found) != len(vectors):
        raise DataError(f"{path} has {len(vectors)} embeddings, and {labels or path} has {len(found)} labels")
    return LabeledSet(vectors, found, _gallery(content, len(vectors)))


@dataclass(frozen=True)
class ScoredFiles:
    """Metrics of files.

    Attributes:
        queries, gallery: numbers of rows; the queries search one another where there is no gallery.
        classes: of queries and gallery together.
    """

    metrics: dict[str, float]
    queries: int
    gallery: int | None
    dimensions: int
    classes: int
    distance: "Distance"


def score_files(
    embeddings: Path,
    labels: Path | None = None,
    *,
    gallery: Path | None = None,
    gallery_labels: Path | None = None,
    metrics: Sequence[str] = DEFAULT_METRICS,
    distance: "Distance" = "cosine",
) -> ScoredFiles:
    """`score` of embeddings in files; see `read_set`. Rows of split `gallery` in one file are searched by the others.

    Raises:
        ConfigError: an unknown metric.
        DataError: as of `read_set`, or the metrics are not defined for these rows.
    """
    for name in metrics:
        metric_name(name)
    queries, items = _sides(read_set(embeddings, labels), gallery, gallery_labels)
    together = [queries.labels] if items is None else [queries.labels, items.labels]
    codes = encoded(*together)
    try:
        found = _scored(queries, items, codes, metrics=metrics, distance=distance)
    except ValueError as error:
        raise DataError(f"{embeddings}: {error}") from error
    rows, width = queries.embeddings.shape
    classes = len(np.unique(np.concatenate(codes)))
    return ScoredFiles(found, rows, None if items is None else len(items.labels), width, classes, distance)


def _sides(
    queries: LabeledSet, gallery: Path | None, gallery_labels: Path | None
) -> tuple[LabeledSet, LabeledSet | None]:
    if gallery is None and gallery_labels is not None:
        raise DataError(f"{gallery_labels} are labels of a gallery: name its embeddings with --gallery")
    if gallery is not None:
        return queries, read_set(gallery, gallery_labels)
    if queries.gallery is not None:
        return queries.part(~queries.gallery), queries.part(queries.gallery)
    return queries, None


def _scored(
    queries: LabeledSet,
    items: LabeledSet | None,
    codes: Sequence[NDArray[np.int64]],
    *,
    metrics: Sequence[str],
    distance: "Distance",
) -> dict[str, float]:
    import torch

    from trainables.evaluation.scores import score

    device = "cuda" if torch.cuda.is_available() else "cpu"
    return score(
        torch.from_numpy(queries.embeddings).to(device),
        codes[0],
        metrics=metrics,
        gallery=None if items is None else torch.from_numpy(items.embeddings).to(device),
        gallery_labels=None if items is None else codes[1],
        distance=distance,
    )


def encoded(*labels: NDArray[Any]) -> list[NDArray[np.int64]]:
    """Labels as numbers, equal ones alike in all arrays.

    Raises:
        DataError: one holds text, another numbers.
    """
    kinds = {array.dtype.kind in "US" for array in labels}
    if len(kinds) > 1:
        raise DataError("some labels are text and others numbers: those of queries and gallery have to match")
    _, codes = np.unique(np.concatenate(labels), return_inverse=True)
    return np.split(codes.astype(np.int64), np.cumsum([len(array) for array in labels])[:-1])


def _read(path: Path) -> _Columns:
    readers: dict[str, Callable[[Path], _Columns]] = {
        ".npy": lambda file: {"": np.load(file, allow_pickle=False)},
        ".npz": _read_npz,
        ".parquet": _read_parquet,
        ".csv": _read_csv,
        ".txt": _read_csv,
    }
    if path.suffix not in readers:
        raise DataError(f"{path}: files are read as {', '.join(readers)}, not as '{path.suffix}'")
    try:
        return readers[path.suffix](path)
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist") from error
    except (OSError, ValueError, LookupError, EOFError, csv.Error, zipfile.BadZipFile) as error:
        if "allow_pickle" in str(error) or "pickled" in str(error):
            raise DataError(
                f"{path} is damaged or holds pickled Python objects, which are not loaded, since they could run code; "
                "save plain numbers: np.save(file, np.asarray(embeddings, dtype=np.float32))"
            ) from error
        raise DataError(f"{path} cannot be read ({(str(error).splitlines() or ['damaged'])[0]})") from error


def _read_npz(path: Path) -> _Columns:
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays}


def _read_parquet(path: Path) -> _Columns:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns: dict[str, NDArray[Any]] = {}
    table = pq.ParquetFile(path).read()
    for name in table.column_names:
        values = table.column(name).combine_chunks()
        if pa.types.is_fixed_size_list(values.type) or pa.types.is_list(values.type):
            columns[name] = np.array(values.to_pylist())  # rows of unequal length are refused
        else:
            columns[name] = np.array(values.to_pylist() if pa.types.is_string(values.type) else values.to_numpy())
    return columns


def _read_csv(path: Path) -> _Columns:
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = [[cell.strip() for cell in row] for row in csv.reader(file) if row]
    header = [cell.lower() for cell in rows[0]] if rows else []
    if any(name in _LABEL_COLUMNS for name in header):
        return {name: _parsed([row[index] for row in rows[1:]]) for index, name in enumerate(header)}
    if any(len(row) > 1 for row in rows):
        raise ValueError(f"several columns, and none of them is called {', '.join(_LABEL_COLUMNS)}")
    return {"": _parsed([row[0] for row in rows])}


def _parsed(texts: list[str]) -> NDArray[Any]:
    if empty := [number for number, text in enumerate(texts, start=1) if not text]:
        raise ValueError(f"row {empty[0]} is empty")
    try:
        return np.array([int(text) for text in texts], dtype=np.int64)
    except (ValueError, OverflowError):
        return np.array(texts, dtype=np.str_)


def _vectors(content: _Columns, path: Path) -> NDArray[Any]:
    name = next((name for name in ("embeddings", "embedding", "") if name in content), None)
    if name is None:
        raise DataError(f"{path} has no 'embeddings', only {', '.join(sorted(content)) or 'nothing'}")
    vectors = content[name]
    if vectors.ndim != 2 or vectors.dtype.kind not in "fiu" or not vectors.size:
        raise DataError(f"{path}: embeddings are numbers [N, D]; found {vectors.dtype} {list(vectors.shape)}")
    vectors = vectors if vectors.dtype.kind == "f" else vectors.astype(np.float32)
    wrong = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(wrong):
        more = f" and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        rows = ", ".join(map(str, wrong[:_SHOWN]))
        raise DataError(f"{path}: rows {rows}{more} (from 0) hold NaN or infinite values; leave those images out")
    return vectors


def _labels(content: _Columns, path: Path) -> NDArray[Any]:
    name = next((name for name in (*_LABEL_COLUMNS, "") if name in content), None)
    if name is None or (name == "" and path.suffix == ".npy" and content[""].ndim == 2):
        raise DataError(f"{path} has no labels; name a file that has them with --labels")
    labels = content[name]
    if labels.dtype.kind == "f" and np.isfinite(labels).all() and (labels == labels.round()).all():
        labels = labels.astype(np.int64)
    if labels.ndim != 1 or labels.dtype.kind not in "iubUS":
        raise DataError(f"{path}: labels are whole numbers or text [N]; found {labels.dtype} {list(labels.shape)}")
    return labels


def _gallery(content: _Columns, rows: int) -> NDArray[np.bool_] | None:
    """Rows of split `gallery`, where others are of split `query`."""
    split = content.get("split")
    if split is None or len(split) != rows or set(split.tolist()) != {"query", "gallery"}:
        return None
    return np.asarray(split == "gallery")
