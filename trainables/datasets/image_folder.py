"""Images in a directory, in a zip, or named by a CSV file. Planning imports this: pixels are decoded elsewhere."""

import difflib
import importlib.metadata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from trainables.datasets import config
from trainables.datasets.files import Files, ListedFiles, directory_files, is_junk, zip_files
from trainables.datasets.listing import Columns, index_of_files, index_of_samples, read_csv
from trainables.datasets.revision import files_revision
from trainables.datasets.source import Index, IndexedTargets, Progress, Reader, Survey, Tell, refuse
from trainables.datasets.target_columns import read_columns, read_label_file
from trainables.errors import DataError

__all__ = ["ImageFolder", "locate"]


class ImageFolder:
    """The source of `image_folder`; see `trainables.datasets.source.Source`.

    The revision covers the content of the files and nothing else. Pixels also depend on the decoder: a Pillow release
    may round differently, so its version is part of the cache's key, but not of the revision, which would otherwise
    make every run due again with every upgrade; the run's record has it among the package versions.
    """

    def __init__(self, config: config.ImageFolder) -> None:
        self.config = config

    def resolve(self, *, search: Sequence[Path], cache: Path, progress: Progress | None = None) -> config.ImageFolder:
        path = locate(self.config.path, search)
        with self._whole(path) as (files, _):  # what cannot be used is refused before anything starts
            revision = files_revision(files, cache=cache, progress=progress)
        return self.config.model_copy(update={"path": str(path), "revision": revision})

    def decoder(self) -> str:
        return f"pillow {importlib.metadata.version('pillow')}"

    def shape(self) -> tuple[int, int, int]:
        return self.config.channels, self.config.image_size, self.config.image_size

    @contextmanager
    def open(self) -> Iterator[tuple[Index, Reader]]:
        with self._whole(Path(self.config.path)) as (files, index):
            yield index, self._reader(files, index)

    @contextmanager
    def survey(self, *, search: Sequence[Path]) -> Iterator[Survey]:
        faults = list[str]()
        with _listed(locate(self.config.path, search), self._columns(), faults.append) as (files, index):
            yield Survey(index, self._reader(files, index), _absent(files, index), tuple(faults))

    @contextmanager
    def _whole(self, path: Path) -> Iterator[tuple[Files, Index]]:
        with _listed(path, self._columns(), refuse) as (files, index):
            _refuse_absent(files, index)
            yield files, self._with_targets(files, index)

    def _columns(self) -> Columns:
        return Columns(self.config.path_column, self.config.label_column, self.config.split_column)

    def _with_targets(self, files: Files, index: Index) -> Index:
        """The index with the numbers of `target_columns`, where any are named."""
        columns, place = self.config.target_columns, files.location
        if not columns:
            return index
        if place.suffix.lower() == ".csv":
            content, named = files.read(place.name), self.config.path_column
            values = read_columns(str(place), content, columns, index.paths, path_column=named)
        else:
            values = read_label_file(files, columns, index.paths)
        group = index.labels if self.config.target_groups == "class" else (0,) * len(index.labels)
        return replace(index, targets=IndexedTargets(values, group, self.config.target_period))

    def _reader(self, files: Files, index: Index) -> Reader:
        from trainables.datasets.decoding import reader

        size, channels, resize = self.config.image_size, self.config.channels, self.config.resize
        return reader(index.paths, files.read, size=size, channels=channels, resize=resize)


_REMEDY = "correct the path or set DML_STUDY_DATA to the folder that holds it"


def locate(path: str, search: Sequence[Path], *, part: str = "image_folder", remedy: str = _REMEDY) -> Path:
    """The absolute place of a dataset: as it is written where absolute, else the first folder of `search` that has it.

    Raises:
        DataError: it is nowhere; the message lists the places.
    """
    written = Path(path).expanduser()
    places = [written] if written.is_absolute() else [folder / written for folder in search]
    for place in places:
        if place.exists():
            return place.resolve()
    looked = ", ".join(str(place) for place in places) or "nowhere: no folder to search"
    raise DataError(f"{part}.path: '{path}' does not exist (looked at {looked}){_nearest(places)}; {remedy}")


def _nearest(places: Sequence[Path]) -> str:
    beside = [entry for place in places if place.parent.is_dir() for entry in place.parent.iterdir()]
    possible = [entry.name for entry in beside if entry.is_dir() or entry.suffix.lower() in (".zip", ".csv")]
    possible = [name for name in possible if not is_junk(name)]  # folders of an extraction that was killed
    near = difflib.get_close_matches(places[0].name, possible, n=1) if places else []
    return f", did you mean '{near[0]}'?" if near else ""


@contextmanager
def _listed(path: Path, columns: Columns, tell: Tell) -> Iterator[tuple[Files, Index]]:
    """The files that a dataset consists of, and the index of its images; a CSV file may name some that are absent."""
    if path.is_dir():
        files = directory_files(path)
        yield files, index_of_files(files, tell)
    elif path.suffix.lower() == ".zip":
        with zip_files(path) as members:
            yield members, index_of_files(members, tell)
    elif path.suffix.lower() == ".csv":
        yield _csv_files(path, columns, tell)
    elif path.exists():
        raise DataError(f"{path} is neither a directory, nor a .zip, nor a .csv file; name one of these")
    else:
        raise DataError(f"{path} does not exist on this machine; put the dataset there or plan the study again")


def _csv_files(path: Path, columns: Columns, tell: Tell) -> tuple[Files, Index]:
    samples = read_csv(path, columns)
    there = [sample.path for sample in samples if (path.parent / sample.path).is_file()]
    return ListedFiles(path, path.parent, [path.name, *there]), index_of_samples(path, samples, tell)


def _absent(files: Files, index: Index) -> tuple[int, ...]:
    return tuple(number for number, path in enumerate(index.paths) if path not in files.stamps)


def _refuse_absent(files: Files, index: Index) -> None:
    if absent := _absent(files, index):
        raise DataError(
            f"{files.location}: {len(absent)} of {len(index.paths)} files do not exist, '{index.paths[absent[0]]}' for "
            f"instance; paths are relative to {files.location.parent}"
        )
