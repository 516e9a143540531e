"""From what is there to a dataset's folder: found, or extracted from official archives, or downloaded when asked."""

import hashlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from trainables.atomic_cache import build_once
from trainables.datasets.archives import ARCHIVES, Archive, Distribution, Origin
from trainables.datasets.benchmarks import BenchmarkSource
from trainables.datasets.config import Benchmark
from trainables.datasets.download import fetch, part_of, probe
from trainables.datasets.extraction import PACKED, extract, require_whole
from trainables.datasets.source import Progress
from trainables.datasets.storage import INTO_REMEDY, mebibytes, require_room, storage_errors
from trainables.errors import ConfigError, DataError
from trainables.parts import load_implementation
from trainables.spelling import nearest

__all__ = ["Prepared", "prepare", "require_checksum"]

_BLOCK = 2**20

Located = dict[Archive, Path]
"""Archives that are there, and where."""


@dataclass(frozen=True)
class Prepared:
    """A folder that is the dataset, and whether it was there before."""

    folder: Path
    done: Literal["found", "extracted"]


@dataclass(frozen=True)
class _Places:
    """Folders and files that may be or have what is needed."""

    files: tuple[Path, ...]
    folders: tuple[Path, ...]
    into: Path


def prepare(
    config: Benchmark,
    *,
    search: Sequence[Path],
    sources: Sequence[Path] = (),
    into: Path,
    missing: Literal["refuse", "download"] = "refuse",
    checksums: Literal["published", "any"] = "published",
    progress: Progress | None = None,
    tell: Callable[[str], None] = lambda message: None,
) -> Prepared:
    """Makes the folder of a public dataset; does nothing where it is there and right.

    The folder gets its name in one rename after its lists, images and counts were looked at, so a process that is
    killed leaves no half of it; the next one starts the extraction again. Archives stay where they are.

    Args:
        config: its `path` is the folder, relative to `into`; its `counts` are what is looked at.
        search: folders in which the dataset and its archives are looked up.
        sources: archives, folders of archives, or an unpacked copy; they come before `search`.
        into: the data folder in which the dataset's folder is made and to which archives are downloaded.
        missing: what to do about archives that are nowhere.
        checksums: any: take archives whose checksum is not the published one; what they hold is checked all the same.
        tell: gets sentences about what is done, downloads before they begin.

    Raises:
        ConfigError: a dataset without archives, or a source that is none of its files.
        DataError: a damaged, unsafe or other archive, nothing to make the dataset of, no room, no connection.
    """
    origin = ARCHIVES.get(config.name)
    if origin is None:
        raise ConfigError(f"'{config.name}' is not made of official archives; {nearest(config.name, list(ARCHIVES))}")
    if absent := [path for path in sources if not path.exists()]:
        raise ConfigError(f"--from {absent[0]}: there is no such file or folder")
    target = into / config.path
    if folder := _found(config, [*_ready(origin, sources), *(place / config.path for place in search), target]):
        return Prepared(folder, "found")
    places = _Places(
        tuple(path for path in sources if not path.is_dir()),
        (*(path for path in sources if path.is_dir()), *search, into),
        into,
    )
    located = _located(config, origin, places) or _downloaded(config, origin, places, missing, progress, tell)
    for archive, path in located.items():
        require_checksum(path, archive, checksums=checksums, progress=progress, tell=tell)
    _build(config, target, located, origin.largest, progress)
    return Prepared(target, "extracted")


def require_checksum(
    path: Path,
    archive: Archive,
    *,
    checksums: Literal["published", "any"] = "published",
    progress: Progress | None = None,
    tell: Callable[[str], None] = lambda message: None,
) -> None:
    """Compares a file with what is published about it; without a published checksum, its SHA-256 is told.

    Raises:
        DataError: another checksum, or the file cannot be read.
    """
    algorithm, _, published = (archive.checksum or "sha256:").partition(":")
    found = _digest(path, algorithm, progress)
    if not published:
        tell(f"{path.name}: no checksum is published; this one has {algorithm} {found}")
    elif found != published and checksums == "any":
        tell(f"{path.name}: {algorithm} {found} is not the published {published}; taken all the same")
    elif found != published:
        raise DataError(
            f"{path}: {algorithm} is {found}, published is {published} ({archive.source}); the file is incomplete or "
            "another one: get it again, or take a copy that you know to be complete with --checksum any"
        )


def _digest(path: Path, algorithm: str, progress: Progress | None) -> str:
    digest, done = hashlib.new(algorithm, usedforsecurity=False), 0
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            while block := stream.read(_BLOCK):
                digest.update(block)
                done += len(block)
                if progress is not None:
                    progress(done >> 20, size >> 20, f"checking {path.name}, MiB")
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); name another copy with --from") from error
    return digest.hexdigest()


def _source(config: Benchmark) -> BenchmarkSource:
    source: BenchmarkSource = load_implementation(config)(config)
    return source


def _ready(origin: Origin, sources: Sequence[Path]) -> list[Path]:
    """Sources that must be unpacked copies: folders without any of the archives."""
    names = {archive.file for distribution in origin.distributions for archive in distribution.archives}
    return [path for path in sources if path.is_dir() and not any((path / name).is_file() for name in names)]


def _found(config: Benchmark, folders: Sequence[Path]) -> Path | None:
    for folder in folders:
        if folder.exists():
            try:
                _source(config).checked(folder)
            except DataError as error:
                raise DataError(
                    f"{folder} is there and not the whole dataset: {error} (it is left as it is: remove or rename it, "
                    "or choose another with --set path=FOLDER)"
                ) from error
            return folder.resolve()
    return None


def _located(config: Benchmark, origin: Origin, places: _Places) -> Located:
    """The archives of the distribution of which all are there, that with most of the named files; else empty."""
    candidates = [_archives(distribution, origin, places) for distribution in origin.distributions]
    whole = [
        found
        for found, distribution in zip(candidates, origin.distributions, strict=True)
        if len(found) == len(distribution.archives)
    ]
    best: Located = max(whole, key=lambda found: len(set(found.values()) & set(places.files)), default={})
    known = {path for found in candidates for path in found.values()}
    if unknown := [path for path in places.files if path not in known]:
        raise ConfigError(f"--from {unknown[0]}: no archive of {config.name}; name your copies {_names(origin)}")
    return best


def _archives(distribution: Distribution, origin: Origin, places: _Places) -> Located:
    found: Located = {}
    for archive in distribution.archives:
        named = [path for path in places.files if path.name == archive.file]
        beside = [folder / archive.file for folder in places.folders if (folder / archive.file).is_file()]
        if path := next(iter(named + beside), None):
            found[archive] = path
    if len(distribution.archives) == 1 and len(places.files) == 1 and not _known(origin, places.files[0]):
        return {distribution.archives[0]: places.files[0]}  # the one file that it can be, under a name of the user's
    return found


def _known(origin: Origin, path: Path) -> bool:
    return any(archive.file == path.name for distribution in origin.distributions for archive in distribution.archives)


def _names(origin: Origin) -> str:
    sets = (" and ".join(archive.file for archive in each.archives) for each in origin.distributions)
    return ", or ".join(sets)


def _downloaded(
    config: Benchmark,
    origin: Origin,
    places: _Places,
    missing: Literal["refuse", "download"],
    progress: Progress | None,
    tell: Callable[[str], None],
) -> Located:
    distribution = next((each for each in origin.distributions if each.downloadable), None)
    if distribution is None or missing == "refuse":
        raise DataError(_nothing(config, origin, places, distribution))
    found = _archives(distribution, origin, places)
    absent = [archive for archive in distribution.archives if archive not in found]
    _announce(absent, places.into, tell)
    for archive in absent:
        check = partial(_check_download, archive=archive, largest=origin.largest, progress=progress, tell=tell)
        found[archive] = fetch(archive.url, places.into / archive.file, check=check, progress=progress, tell=tell)
    return found


def _check_download(
    path: Path, archive: Archive, largest: int, progress: Progress | None, tell: Callable[[str], None]
) -> None:
    """By its published checksum; without one, by a look into it: a server without lengths may stop early."""
    require_checksum(path, archive, progress=progress, tell=tell)
    if not archive.checksum and archive.file.endswith(PACKED):
        require_whole(path, largest=largest)


def _nothing(config: Benchmark, origin: Origin, places: _Places, distribution: Distribution | None) -> str:
    looked = ", ".join(str(folder) for folder in dict.fromkeys(places.folders))
    need = f"{config.name}: neither a folder '{config.path}' nor {_names(origin)} in {looked}"
    if distribution is None:
        return f"{need}; {origin.by_hand}; then name them with --from"
    urls = ", ".join(archive.url for archive in distribution.archives)
    return f"{need}; name a copy with --from, or fetch {urls} with --download"


def _announce(archives: Sequence[Archive], into: Path, tell: Callable[[str], None]) -> None:
    """Says what comes, and asks for room for archives and what they unpack to, which is more."""
    needed = 0
    for archive in archives:
        size, part = probe(archive.url).size, part_of(into / archive.file)
        have = part.stat().st_size if part.exists() else 0
        needed += 2 * (size or 0) - have
        known = mebibytes(size) if size is not None else "a size that the server does not say"
        begun = f", {mebibytes(have)} of it are here already" if have else ""
        tell(f"downloading {archive.file} from {archive.url} ({known}{begun}) to {into}")
    with storage_errors(into, remedy=INTO_REMEDY):
        into.mkdir(parents=True, exist_ok=True)
    require_room(into, needed, remedy=INTO_REMEDY)


def _build(
    config: Benchmark, target: Path, located: Mapping[Archive, Path], largest: int, progress: Progress | None
) -> None:
    def build(folder: Path) -> None:
        for archive, path in located.items():
            _unpack(archive, path, folder, largest, progress)

    def is_valid(folder: Path) -> bool:
        """Raises where it is not, so that a folder which somebody put there meanwhile is not replaced."""
        try:
            _source(config).checked(folder)
        except DataError as error:
            packed = ", ".join(str(path) for path in located.values())
            message = str(error).replace(str(folder), str(target))
            raise DataError(f"{packed} unpacked is not {config.name}, nothing of it is kept: {message}") from error
        return True

    with storage_errors(target, remedy=INTO_REMEDY):
        build_once(target, build, is_valid=is_valid)


def _unpack(archive: Archive, path: Path, folder: Path, largest: int, progress: Progress | None) -> None:
    place = folder / archive.into
    with storage_errors(place, remedy=INTO_REMEDY):
        place.mkdir(parents=True, exist_ok=True)
        if not archive.file.endswith(PACKED):
            require_room(place, path.stat().st_size, remedy=INTO_REMEDY)
            shutil.copyfile(path, place / archive.file)
            return
    extract(path, place, inside=archive.inside, largest=largest, progress=progress)
