"""From archives to the folder of a dataset: found, checked, extracted, downloaded; nothing that is there is touched."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from trainables.datasets import preparation
from trainables.datasets.archives import ARCHIVES
from trainables.datasets.config import DATASETS, Benchmark
from trainables.datasets.download import part_of
from trainables.datasets.preparation import Prepared, prepare
from trainables.errors import ConfigError, DataError
from trainables.testing import benchmark_trees as trees
from trainables.testing.benchmark_archives import PACKED, small_origin, write_archives
from trainables.testing.file_server import FileServer, serving

PUBLISHED = dict(ARCHIVES)


@pytest.fixture(autouse=True)
def no_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serving() as server:
        yield server


@pytest.fixture
def pack(monkeypatch: pytest.MonkeyPatch, server: FileServer) -> Callable[..., list[Path]]:
    """Writes small archives of a distribution, whose checksums and addresses count as the published ones."""

    def written(which: str, folder: Path) -> list[Path]:
        folder.mkdir(parents=True, exist_ok=True)
        files = write_archives(which, folder)
        name = PACKED[which][0]
        monkeypatch.setitem(ARCHIVES, name, small_origin(ARCHIVES[name], files, url=server.url))
        return files

    return written


@pytest.fixture
def serve(pack: Callable[..., list[Path]], server: FileServer, tmp_path: Path) -> Callable[[str], list[str]]:
    """The same on the server alone."""

    def served(which: str) -> list[str]:
        files = pack(which, tmp_path / "remote")
        server.files.update({path.name: path.read_bytes() for path in files})
        shutil.rmtree(tmp_path / "remote")
        return [path.name for path in files]

    return served


def config(name: str, **fields: object) -> Benchmark:
    found = DATASETS[name].model_validate({"counts": "any", **fields})
    assert isinstance(found, Benchmark)
    return found


def run(name: str, data: Path, **options: Any) -> tuple[Prepared, list[str]]:
    told: list[str] = []
    done = prepare(config(name), search=[data], into=options.pop("into", data), tell=told.append, **options)
    return done, told


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


@pytest.mark.parametrize("which", PACKED)
def test_archives_in_the_data_folder_become_the_dataset(
    which: str, data: Path, pack: Callable[..., list[Path]], tmp_path: Path
) -> None:
    """Every distribution gives the tree that was packed, without what a Mac left in it."""
    name, write, _ = PACKED[which]
    files = pack(which, data)
    done, _ = run(name, data)
    assert done == Prepared(data / config(name).path, "extracted")
    expected = write(tmp_path / "expected")
    found = {path.relative_to(done.folder): path.read_bytes() for path in done.folder.rglob("*") if path.is_file()}
    wanted = {path.relative_to(expected): path.read_bytes() for path in expected.rglob("*") if path.is_file()}
    assert set(found) == set(wanted)
    assert all(found[path] == wanted[path] for path in wanted if path.suffix != ".mat")  # their header has the time
    assert names(data) == sorted([done.folder.name, *(path.name for path in files)])
    assert run(name, data)[0] == Prepared(done.folder, "found")


def test_a_dataset_that_is_there_is_left_alone(data: Path) -> None:
    root = trees.write_cub200(data / "CUB_200_2011")
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    assert run("cub200", data, missing="download")[0] == Prepared(root, "found")
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before


def test_a_folder_that_is_not_whole_is_left_alone(data: Path, pack: Callable[..., list[Path]]) -> None:
    pack("cub200", data)
    root = trees.write_cub200(data / "CUB_200_2011")
    (root / "images/001.Bird_1/Bird_1_0000.jpg").unlink()
    with pytest.raises(DataError, match=r"is there and not the whole dataset: .*1 of 12 images are missing.*rename it"):
        run("cub200", data)
    assert (root / "classes.txt").exists()


@pytest.mark.parametrize("source", ["disk", "disk/CUB_200_2011.tgz"])
def test_named_archives_and_folders_come_first(
    source: str, data: Path, pack: Callable[..., list[Path]], tmp_path: Path
) -> None:
    pack("cub200", tmp_path / "disk")
    (data / "CUB_200_2011.tgz").write_bytes(b"a broken copy")
    done, _ = run("cub200", data, sources=[tmp_path / source], into=tmp_path / "other")
    assert done == Prepared(tmp_path / "other/CUB_200_2011", "extracted")


def test_a_single_archive_may_have_another_name(data: Path, pack: Callable[..., list[Path]], tmp_path: Path) -> None:
    (archive,) = pack("cars196 kaggle", tmp_path / "disk")
    renamed = archive.rename(tmp_path / "archive.zip")
    assert run("cars196", data, sources=[renamed])[0].done == "extracted"


def test_named_archives_decide_among_distributions(data: Path, pack: Callable[..., list[Path]], tmp_path: Path) -> None:
    pack("cars196", data)
    files = pack("cars196 devkit", tmp_path / "disk")
    done, _ = run("cars196", data, sources=files)
    assert (done.folder / "devkit").is_dir()


def test_an_unpacked_copy_is_found_where_it_is(data: Path, tmp_path: Path) -> None:
    root = trees.write_sop(tmp_path / "elsewhere")
    assert run("sop", data, sources=[root])[0] == Prepared(root, "found")
    (root / "Ebay_test.txt").unlink()
    with pytest.raises(DataError, match=r"no file Ebay_test\.txt"):
        run("sop", data, sources=[root])


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("gone.zip", r"--from .*gone.zip: there is no such file"),
        ("notes.txt", "no archive of inshop; name your copies"),
    ],
)
def test_sources_that_are_nothing(source: str, message: str, data: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(ConfigError, match=message):
        run("inshop", data, sources=[tmp_path / source])


def test_a_dataset_without_archives(data: Path) -> None:
    other = config("sop").model_copy(update={"name": "cub20"})
    with pytest.raises(ConfigError, match="'cub20' is not made of official archives; did you mean 'cub200'"):
        prepare(other, search=[data], into=data)


def test_another_checksum_is_refused_or_accepted(data: Path, pack: Callable[..., list[Path]]) -> None:
    files = pack("omniglot", data)
    published = {path: path.read_bytes() for path in files}
    files[0].write_bytes(published[files[0]] + b"\0")  # a zip with a byte behind its end is the same for readers
    with pytest.raises(DataError) as caught:
        run("omniglot", data)
    for words in (str(files[0]), "sha256 is ", "published is ", "torchvision", "get it again", "--checksum any"):
        assert words in str(caught.value)
    done, told = run("omniglot", data, checksums="any")
    assert done.done == "extracted"
    assert "is not the published" in told[0]


def test_without_a_published_checksum_its_own_is_told(data: Path, pack: Callable[..., list[Path]]) -> None:
    pack("inshop", data)
    _, told = run("inshop", data)
    assert "img.zip: no checksum is published; this one has sha256 " in told[0]


def test_a_published_md5_is_compared(data: Path, pack: Callable[..., list[Path]]) -> None:
    pack("omniglot", data)
    archive = PUBLISHED["omniglot"].distributions[0].archives[0]
    with pytest.raises(DataError, match=r"md5 is [0-9a-f]{32}, published is 68d2efa1b9178cc56df9314c21c6e718"):
        preparation.require_checksum(data / archive.file, archive)


def test_another_archive_is_not_the_dataset(data: Path, pack: Callable[..., list[Path]], tmp_path: Path) -> None:
    (archive,) = pack("cub200", tmp_path / "disk")
    (other,) = write_archives("sop", data)
    other.replace(archive)
    with pytest.raises(DataError, match="no file in a folder 'CUB_200_2011'; this is another archive"):
        run("cub200", data, sources=[archive], checksums="any")
    assert names(data) == []


def test_an_archive_without_some_images_is_not_the_dataset(data: Path, pack: Callable[..., list[Path]]) -> None:
    files = pack("inshop", data)
    (data / "list_eval_partition.txt").write_text(files[1].read_text().replace("00_1_front", "77_1_front"))
    with pytest.raises(DataError) as caught:
        run("inshop", data, checksums="any")
    assert "unpacked is not inshop, nothing of it is kept" in str(caught.value)
    assert ".new" not in str(caught.value)
    assert names(data) == ["img.zip", "list_eval_partition.txt"]


def test_published_counts_are_looked_at(data: Path, pack: Callable[..., list[Path]]) -> None:
    pack("cub200", data)
    with pytest.raises(DataError, match=r"6 images of 3 classes .* published are 5864 of 100"):
        prepare(config("cub200", counts="checked"), search=[data], into=data)
    assert names(data) == ["CUB_200_2011.tgz"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("cub200", "or fetch https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz with --download"),
        ("cars196", "the original hosts are gone; https://www.kaggle.com/"),
        ("inshop", "its owners want an agreement first"),
    ],
)
def test_nothing_is_downloaded_without_being_asked(name: str, words: str, data: Path, server: FileServer) -> None:
    with pytest.raises(DataError) as caught:
        run(name, data)
    assert words in str(caught.value)
    assert "--from" in str(caught.value)
    assert names(data) == []


@pytest.mark.parametrize("name", ["cars196", "inshop"])
def test_what_has_no_address_is_not_downloaded(name: str, data: Path) -> None:
    with pytest.raises(DataError, match=r"https://.* then name them with --from"):
        run(name, data, missing="download")


@pytest.mark.parametrize("name", ["cub200", "sop", "omniglot", "inaturalist"])
def test_downloads_are_announced_checked_and_extracted(
    name: str, data: Path, serve: Callable[[str], list[str]], server: FileServer
) -> None:
    files = serve(name)
    done, told = run(name, data, missing="download")
    assert done.done == "extracted"
    for file, message in zip(files, told, strict=False):
        assert message == f"downloading {file} from {server.url(file)} (0.0 MiB) to {data}"
    assert names(data) == sorted([done.folder.name, *files])


def test_only_what_is_missing_is_downloaded(data: Path, pack: Callable[..., list[Path]], server: FileServer) -> None:
    here, away = pack("omniglot", data)
    server.files[away.name] = away.read_bytes()
    away.unlink()
    run("omniglot", data, missing="download")
    assert {name for name, _ in server.requests} == {away.name}
    assert here.exists()


def test_a_download_with_another_checksum_gets_no_name(
    data: Path, serve: Callable[[str], list[str]], server: FileServer
) -> None:
    (file,) = serve("cub200")
    server.files[file] += b"\0"
    with pytest.raises(DataError, match="published is"):
        run("cub200", data, missing="download")
    assert names(data) == []


def test_a_truncated_download_without_checksum_gets_no_name(
    data: Path, serve: Callable[[str], list[str]], server: FileServer
) -> None:
    """A server that says no length may close the connection early; what came is not in the way of the next call."""
    _, file = serve("inaturalist")
    whole = 10**9
    server.terse = frozenset(["length"])
    server.drop_after = [whole, whole, whole, len(server.files[file]) - 30]  # two probes and two files
    with pytest.raises(DataError, match=rf"{file}.* cannot be read .*the file is damaged"):
        run("inaturalist", data, missing="download")
    assert file not in names(data) and f"{file}.part" not in names(data)
    assert run("inaturalist", data, missing="download")[0].done == "extracted"


def test_no_room_is_said_before_the_download(
    data: Path, serve: Callable[[str], list[str]], server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    (file,) = serve("cub200")
    free = 2 * len(server.files[file]) - 1  # the archive, and what it unpacks to
    monkeypatch.setattr("shutil.disk_usage", lambda folder: type("Usage", (), {"free": free})())
    with pytest.raises(DataError, match="MiB needed and"):
        run("cub200", data, missing="download")
    assert names(data) == []


def test_a_data_folder_that_is_read_only(data: Path, pack: Callable[..., list[Path]], tmp_path: Path) -> None:
    (archive,) = pack("cub200", tmp_path / "disk")
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"cannot be written .*choose another folder with --into"):
        run("cub200", data, sources=[archive], into=tmp_path / "file/below")


def test_an_extraction_that_is_killed_leaves_nothing_that_is_read(
    data: Path, pack: Callable[..., list[Path]], tmp_path: Path
) -> None:
    """With SIGKILL after some files; the next call removes what was left and ends right."""
    (archive,) = pack("cub200", tmp_path / "disk")
    code = f"""
import os, signal, sys
from pathlib import Path
from trainables.datasets.config import Cub200
from trainables.datasets.preparation import prepare
def killed(done, total, description):
    if description.startswith("extracting") and len(list(Path({str(data)!r}).rglob("*.jpg"))) == 4:
        os.kill(os.getpid(), signal.SIGKILL)
data, options = Path({str(data)!r}), dict(checksums="any", progress=killed)
prepare(Cub200(counts="any"), search=[data], sources=[Path({str(archive)!r})], into=data, **options)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    assert names(data) == [".CUB_200_2011.new"], "half of a dataset, under a name that nobody reads"
    with pytest.raises(DataError) as caught:
        run("cub200", data)
    assert "neither a folder 'CUB_200_2011' nor" in str(caught.value)
    done, _ = run("cub200", data, sources=[archive])
    assert done.done == "extracted"
    assert names(data) == ["CUB_200_2011"]


def test_a_part_of_a_download_is_announced(data: Path, serve: Callable[[str], list[str]], server: FileServer) -> None:
    (file,) = serve("cub200")
    part_of(data / file).write_bytes(server.files[file][:10])
    _, told = run("cub200", data, missing="download")
    assert "of it are here already) to" in told[0]
