"""Embeddings with their labels in one file: NumPy's .npz without pickled objects, or Parquet."""

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainables.errors import ConfigError, DataError

SUFFIXES = (".npz", ".parquet")
_VERSION = "1"
_ABOUT = "dml_study"


@dataclass(frozen=True)
class EmbeddingsFile:
    """The content of a file.

    Attributes:
        embeddings: float32 [N, D], raw: not normalised.
        labels: int64 [N], index into `class_names`.
        class_names: of the part's classes.
        paths: [N], of the images, relative to the dataset.
        split: [N], train, val, test, query or gallery.
        about: run, study, dataset, its revision, the distance to compare by.
    """

    embeddings: NDArray[np.float32]
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    paths: tuple[str, ...]
    split: tuple[str, ...]
    about: Mapping[str, str]


def require_suffix(path: Path) -> None:
    """
    Raises:
        ConfigError: a file name with another ending.
    """
    if path.suffix not in SUFFIXES:
        raise ConfigError(f"{path}: embeddings are written as {' or '.join(SUFFIXES)}, not as '{path.suffix}'")


def write_embeddings(content: EmbeddingsFile, path: Path) -> None:
    """Writes a file of the kind that its ending names."""
    require_suffix(path)
    (_write_npz if path.suffix == ".npz" else _write_parquet)(content, path)


def read_embeddings(path: str | Path) -> EmbeddingsFile:
    """The inverse of `write_embeddings`; runs no code of the file.

    Raises:
        DataError: there is no such file, or none that `write_embeddings` wrote.
    """
    path = Path(path)
    require_suffix(path)
    try:
        return (_read_npz if path.suffix == ".npz" else _read_parquet)(path)
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: no embeddings that `dml-study export embeddings` wrote ({error})") from error


def _write_npz(content: EmbeddingsFile, path: Path) -> None:
    np.savez(
        path,
        embeddings=content.embeddings,
        labels=content.labels,
        class_names=np.array(content.class_names),
        paths=np.array(content.paths),
        split=np.array(content.split),
        about=np.array(_about_text(content)),
    )


def _read_npz(path: Path) -> EmbeddingsFile:
    with np.load(path, allow_pickle=False) as arrays:
        return EmbeddingsFile(
            embeddings=arrays["embeddings"],
            labels=arrays["labels"],
            class_names=tuple(arrays["class_names"].tolist()),
            paths=tuple(arrays["paths"].tolist()),
            split=tuple(arrays["split"].tolist()),
            about=_about(str(arrays["about"])),
        )


def _write_parquet(content: EmbeddingsFile, path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = np.array(content.class_names, dtype=object)
    width = content.embeddings.shape[1]
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(content.embeddings.reshape(-1)), width)
    table = pa.table(
        {
            "path": pa.array(content.paths, pa.string()),
            "split": pa.array(content.split, pa.string()),
            "label": pa.array(content.labels),
            "class_name": pa.array(names[content.labels].tolist(), pa.string()),
            "embedding": vectors,
        }
    )
    pq.write_table(table.replace_schema_metadata({_ABOUT: _about_text(content)}), path)


def _read_parquet(path: Path) -> EmbeddingsFile:
    import pyarrow.parquet as pq

    table = pq.ParquetFile(path).read()
    about = _about(table.schema.metadata[_ABOUT.encode()])
    vectors = table.column("embedding").combine_chunks()
    labels = table.column("label").to_numpy().copy()
    names = dict(zip(labels.tolist(), table.column("class_name").to_pylist(), strict=True))
    return EmbeddingsFile(
        embeddings=vectors.values.to_numpy().reshape(len(table), -1).copy(),  # pyarrow's own are read-only
        labels=labels,
        class_names=tuple(names[label] for label in sorted(names)),
        paths=tuple(table.column("path").to_pylist()),
        split=tuple(table.column("split").to_pylist()),
        about=about,
    )


def _about_text(content: EmbeddingsFile) -> str:
    return json.dumps({**content.about, "version": _VERSION})


def _about(text: str | bytes) -> dict[str, str]:
    about: dict[str, str] = json.loads(text)
    if about.pop("version") != _VERSION:
        raise ValueError("it is of another version")
    return about
