"""`datasets prepare` as a user meets it, from archives and from a server; the datasets of this kind in the list."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from trainables.datasets.archives import ARCHIVES
from trainables.datasets.download import part_of
from trainables.testing.benchmark_archives import small_origin, write_archives
from trainables.testing.file_server import FileServer, serving

Call = Callable[..., Any]
ANY = ("--set", "counts=any")


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serving() as server:
        yield server


@pytest.fixture
def archive(tmp_path: Path, server: FileServer, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small CUB_200_2011.tgz on a disk and on the server."""
    folder = tmp_path / "disk"
    folder.mkdir()
    (path,) = write_archives("cub200", folder, images=4)
    monkeypatch.setitem(ARCHIVES, "cub200", small_origin(ARCHIVES["cub200"], [path], url=server.url))
    server.files[path.name] = path.read_bytes()
    return path


def test_from_an_archive(archive: Path, dml_study: Call, tmp_path: Path) -> None:
    done = dml_study("datasets", "prepare", "cub200", "--from", archive, *ANY)
    assert (done.code, done.err) == (0, "")
    assert done.out == f"cub200 is ready: {tmp_path / 'data/CUB_200_2011'}\n"
    done = dml_study("datasets", "prepare", "cub200", *ANY)
    assert done.out == f"cub200 is there and whole: {tmp_path / 'data/CUB_200_2011'}\n"
    done = dml_study("datasets", "verify", "cub200", *ANY)
    assert ["train", "12", "3", "4"] in [line.split() for line in done.out.splitlines()]


def test_elsewhere(archive: Path, dml_study: Call, tmp_path: Path) -> None:
    done = dml_study("datasets", "prepare", "cub200", "--from", archive.parent, "--into", "big disk", *ANY)
    folder = tmp_path / "big disk/CUB_200_2011"
    assert done.out == f"cub200 is ready: {folder}; a study names it with path: {folder}\n"


def test_a_download_is_announced(
    archive: Path, dml_study: Call, server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DML_STUDY_DATA", str(tmp_path / "mine"))
    done = dml_study("datasets", "prepare", "cub200", *ANY)
    assert done.code == 2
    assert f"or fetch {server.url(archive.name)} with --download" in done.err
    assert server.requests == []
    done = dml_study("datasets", "prepare", "cub200", "--download", *ANY)
    assert done.code == 0
    assert done.err == f"downloading {archive.name} from {server.url(archive.name)} (0.0 MiB) to {tmp_path / 'mine'}\n"


def test_another_checksum(archive: Path, dml_study: Call) -> None:
    archive.write_bytes(archive.read_bytes() + b"\0")
    done = dml_study("datasets", "prepare", "cub200", "--from", archive, *ANY)
    assert done.code == 2
    assert "published is" in done.err and "--checksum any" in done.err
    done = dml_study("datasets", "prepare", "cub200", "--from", archive, "--checksum", "any", *ANY)
    assert done.code == 0
    assert "taken all the same" in done.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["glyphs"], "'glyphs' is not made of official archives; known: cars196, cub200"),
        (["cub20"], "unknown dataset 'cub20' and no such path; did you mean 'cub200'?"),
        (["cars196", "--download"], "the original hosts are gone"),
        (["sop", "--checksum", "none"], "unknown value 'none'"),
        (["sop", "--from", "x.zip"], "x.zip: there is no such file or folder"),
    ],
)
def test_bad_input(dml_study: Call, arguments: list[str], message: str) -> None:
    done = dml_study("datasets", "prepare", *arguments)
    assert done.code == 2
    assert message in " ".join(done.err.replace("│", " ").split())


def test_the_list_says_what_can_be_downloaded(dml_study: Call) -> None:
    lines = {line.split()[0]: line for line in dml_study("datasets", "list").out.splitlines()}
    for name, word in {"cub200": " yes ", "omniglot": " yes ", "cars196": " by hand ", "inshop": " by hand "}.items():
        assert word in lines[name]
    assert "prepare" in dml_study("datasets", "verify", "cub200").err


def test_ctrl_c_keeps_the_part_and_says_so(archive: Path, dml_study: Call, server: FileServer, tmp_path: Path) -> None:
    """In a process of its own; the same command then goes on, after a kill too."""
    url = server.url(archive.name)
    code = f"""
import sys
from dataclasses import replace
from trainables.datasets.archives import ARCHIVES, Distribution, Origin
known = ARCHIVES["cub200"]
found = replace(known.distributions[0].archives[0], url={url!r}, checksum="")
ARCHIVES["cub200"] = replace(known, distributions=(Distribution((found,)),))
from study.cli import main
sys.argv = ["dml-study", "datasets", "prepare", "cub200", "--download", "--set", "counts=any"]
main()
"""
    length = len(server.files[archive.name])
    part, server.pause_after = part_of(tmp_path / "data" / archive.name), length // 2

    def interrupted(number: signal.Signals) -> str:
        process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True, cwd=tmp_path)
        while not (part.exists() and part.with_name(f"{part.name}.json").exists()):
            assert process.poll() is None, process.communicate()
        process.send_signal(number)
        error = process.communicate(timeout=60)[1]
        assert process.returncode != 0
        return error

    assert "stopped; the same command goes on with what was downloaded" in interrupted(signal.SIGINT)
    assert part.exists() and not (tmp_path / "data/CUB_200_2011").exists()
    part.with_name(f"{part.name}.json").unlink()
    part.unlink()
    interrupted(signal.SIGKILL)
    server.pause_after = None
    server.resume.set()
    done = dml_study("datasets", "prepare", "cub200", "--download", *ANY)
    assert done.code == 0, done.err
    assert not part.exists()
