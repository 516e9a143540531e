"""Images in a directory, in a zip, or named by a CSV file. Planning imports this: pixels are decoded elsewhere."""

import difflib
import importlib.metadata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from trainables.datasets import config
from trainables.datasets.files import Files, ListedFiles, directory_files, zip_files
from trainables.datasets.listing import index_of_files, index_of_samples, read_csv
from trainables.datasets.revision import files_revision
from trainables.datasets.source import Index, IndexedTargets, Progress, Reader
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
        with _listed(path) as (files, index):
            self._with_targets(files, index)  # a label file that cannot be used is refused before anything starts
            revision = files_revision(files, cache=cache, progress=progress)
        return self.config.model_copy(update={"path": str(path), "revision": revision})

    def decoder(self) -> str:
        return f"pillow {importlib.metadata.version('pillow')}"

    def shape(self) -> tuple[int, int, int]:
        return self.config.channels, self.config.image_size, self.config.image_size

    @contextmanager
    def open(self) -> Iterator[tuple[Index, Reader]]:
        with _listed(Path(self.config.path)) as (files, index):
            yield self._with_targets(files, index), self._reader(files, index)

    def _with_targets(self, files: Files, index: Index) -> Index:
        """The index with the numbers of `target_columns`, where any are named."""
        columns, place = self.config.target_columns, files.location
        if not columns:
            return index
        if place.suffix.lower() == ".csv":
            values = read_columns(str(place), files.read(place.name), columns, index.paths)
        else:
            values = read_label_file(files, columns, index.paths)
        group = index.labels if self.config.target_groups == "class" else (0,) * len(index.labels)
        return replace(index, targets=IndexedTargets(values, group, self.config.target_period))

    def _reader(self, files: Files, index: Index) -> Reader:
        from trainables.datasets.decoding import reader

        size, channels, resize = self.config.image_size, self.config.channels, self.config.resize
        return reader(index.paths, files.read, size=size, channels=channels, resize=resize)


def locate(path: str, search: Sequence[Path], *, part: str = "image_folder") -> Path:
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
    raise DataError(
        f"{part}.path: '{path}' does not exist (looked at {looked}){_nearest(places)}; correct the path "
        "or set DML_STUDY_DATA to the folder that holds it"
    )


def _nearest(places: Sequence[Path]) -> str:
    beside = [entry for place in places if place.parent.is_dir() for entry in place.parent.iterdir()]
    possible = [entry.name for entry in beside if entry.is_dir() or entry.suffix.lower() in (".zip", ".csv")]
    near = difflib.get_close_matches(places[0].name, possible, n=1) if places else []
    return f", did you mean '{near[0]}'?" if near else ""


@contextmanager
def _listed(path: Path) -> Iterator[tuple[Files, Index]]:
    """The files that a dataset consists of and their index."""
    if path.is_dir():
        files = directory_files(path)
        yield files, index_of_files(files)
    elif path.suffix.lower() == ".zip":
        with zip_files(path) as members:
            yield members, index_of_files(members)
    elif path.suffix.lower() == ".csv":
        yield _csv_files(path)
    elif path.exists():
        raise DataError(f"{path} is neither a directory, nor a .zip, nor a .csv file; name one of these")
    else:
        raise DataError(f"{path} does not exist on this machine; put the dataset there or plan the study again")


def _csv_files(path: Path) -> tuple[Files, Index]:
    samples = read_csv(path)
    absent = [sample.path for sample in samples if not (path.parent / sample.path).is_file()]
    if absent:
        raise DataError(
            f"{path}: {len(absent)} of {len(samples)} files do not exist, '{absent[0]}' for instance; "
            f"paths are relative to {path.parent}"
        )
    names = [path.name, *(sample.path for sample in samples)]
    return ListedFiles(path, path.parent, names), index_of_samples(path, samples)
