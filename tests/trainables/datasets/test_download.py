"""Downloads from a server that drops connections, changes its files, or is not there; and a process that is killed."""

import errno
import hashlib
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from trainables.datasets import download
from trainables.datasets.download import Remote, fetch, part_of, probe
from trainables.errors import DataError
from trainables.testing.file_server import FileServer, serving

OLD, NEW = random.Random(1).randbytes(3_000_000), random.Random(2).randbytes(3_000_000)


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serving() as server:
        server.files["set.zip"] = OLD
        yield server


def right(content: bytes) -> Callable[[Path], None]:
    def check(path: Path) -> None:
        if hashlib.sha256(path.read_bytes()).digest() != hashlib.sha256(content).digest():
            raise DataError("another checksum")

    return check


def get(server: FileServer, folder: Path, *, content: bytes = OLD, **options: Any) -> list[str]:
    """Fetches the file; returns what was told."""
    told: list[str] = []
    path = fetch(server.url("set.zip"), folder / "set.zip", check=right(content), tell=told.append, pause=0, **options)
    assert path.read_bytes() == content
    assert leftovers(folder) == []
    return told


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name not in ("set.zip", ".set.zip.lock"))


def ranges(server: FileServer) -> list[str]:
    return [wanted for _, wanted in server.requests]


def begun(server: FileServer, folder: Path, *, length: int = 1_000_000) -> None:
    """A part as an attempt leaves it that was interrupted."""
    folder.mkdir(exist_ok=True)
    part_of(folder / "set.zip").write_bytes(server.files["set.zip"][:length])
    state = {"url": server.url("set.zip"), "size": len(server.files["set.zip"]), "validator": server.etag}
    (folder / "set.zip.part.json").write_text(json.dumps(state))


def test_a_file_comes_whole(server: FileServer, tmp_path: Path) -> None:
    steps: list[tuple[int, int, str]] = []
    assert get(server, tmp_path / "new/folder", progress=lambda *step: steps.append(step)) == []
    assert steps[-1] == (2, 2, "downloading set.zip, MiB")
    assert ranges(server) == [""]
    get(server, tmp_path / "new/folder")
    assert len(server.requests) == 1, "what is there is not fetched again"


def test_size_is_asked_without_reading(server: FileServer) -> None:
    assert probe(server.url("set.zip")) == Remote(3_000_000, '"one"')


def test_dropped_connections_go_on_where_they_ended(server: FileServer, tmp_path: Path) -> None:
    server.drop_after = [1_000_000, 500_000]
    told = get(server, tmp_path)
    assert ranges(server) == ["", "bytes=1000000-", "bytes=1500000-"]
    assert "the connection ended at byte 1000000 of 3000000; going on at byte 1000000" in told[0]


def test_a_server_that_is_busy_is_asked_again(server: FileServer, tmp_path: Path) -> None:
    server.errors = [503, 429, 500]
    assert "503" in get(server, tmp_path)[0]


def test_a_part_of_an_earlier_attempt_goes_on(server: FileServer, tmp_path: Path) -> None:
    begun(server, tmp_path)
    get(server, tmp_path)
    assert ranges(server) == ["bytes=1000000-"]


def test_a_whole_part_needs_no_connection(server: FileServer, tmp_path: Path) -> None:
    begun(server, tmp_path, length=3_000_000)
    get(server, tmp_path)
    assert server.requests == []


@pytest.mark.parametrize("honest", [True, False], ids=["compares If-Range", "ignores If-Range"])
def test_a_file_that_changed_between_attempts_is_never_glued(honest: bool, server: FileServer, tmp_path: Path) -> None:
    begun(server, tmp_path)
    server.files["set.zip"], server.etag, server.honest = NEW, '"two"', honest
    told = get(server, tmp_path, content=NEW)
    assert "another file" in told[0] and "starting over" in told[0]


def test_a_file_that_changes_while_it_comes_is_never_glued(server: FileServer, tmp_path: Path) -> None:
    server.drop_after = [1_000_000]

    def swap(message: str) -> None:
        server.files["set.zip"], server.etag = NEW, '"two"'

    fetch(server.url("set.zip"), tmp_path / "set.zip", check=right(NEW), tell=swap, pause=0)
    assert (tmp_path / "set.zip").read_bytes() == NEW


def test_a_file_that_became_shorter_starts_over(server: FileServer, tmp_path: Path) -> None:
    begun(server, tmp_path)
    server.files["set.zip"], server.honest = NEW[:500], False
    get(server, tmp_path, content=NEW[:500])


def test_another_address_starts_over(server: FileServer, tmp_path: Path) -> None:
    begun(server, tmp_path)
    (tmp_path / "set.zip.part.json").write_text(json.dumps({"url": "x", "size": 3_000_000, "validator": '"one"'}))
    get(server, tmp_path)
    assert ranges(server) == [""]


def test_a_damaged_record_starts_over(server: FileServer, tmp_path: Path) -> None:
    begun(server, tmp_path)
    (tmp_path / "set.zip.part.json").write_text("{")
    assert "set.zip.part.json is damaged" in get(server, tmp_path)[0]


def test_without_ranges_it_starts_over(server: FileServer, tmp_path: Path) -> None:
    begun(server, tmp_path)
    server.ranges = False
    assert "starting over" in get(server, tmp_path)[0]


def test_without_ranges_it_gives_up_where_it_gets_no_further(server: FileServer, tmp_path: Path) -> None:
    server.ranges, server.drop_after = False, [900_000] * 20
    with pytest.raises(DataError, match=r"ended at byte 900000 of 3000000; the same command goes on later"):
        get(server, tmp_path)
    assert len(server.requests) == 6


def test_without_anything_that_tells_files_apart_no_part_goes_on(server: FileServer, tmp_path: Path) -> None:
    begun(server, tmp_path)
    server.etag = ""
    (tmp_path / "set.zip.part.json").write_text(
        json.dumps({"url": server.url("set.zip"), "size": 3_000_000, "validator": ""})
    )
    server.drop_after = [1_000_000]
    get(server, tmp_path)
    assert ranges(server) == ["", ""]


def test_a_file_that_is_not_there(server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"/gone.zip: 404 Not Found; get the file in another way and name it with --from"
    ):
        fetch(server.url("gone.zip"), tmp_path / "gone.zip", check=right(b""), pause=0)
    assert len(server.requests) == 1
    assert leftovers(tmp_path) == [".gone.zip.lock"]


def test_a_page_instead_of_a_file(server: FileServer, tmp_path: Path) -> None:
    server.kind = "text/html; charset=utf-8"
    with pytest.raises(DataError, match="it gives a web page instead of the file"):
        get(server, tmp_path)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"state": 204}, "204 No Content instead of the file"),
        ({"state": 206}, "206 Partial Content instead of the file"),
        ({"fields": {"Content-Encoding": "gzip"}}, "encoded as gzip, which was not asked for"),
    ],
)
def test_an_answer_that_is_not_the_file(answer: dict[str, Any], words: str, server: FileServer, tmp_path: Path) -> None:
    for name, value in answer.items():
        setattr(server, name, value)
    with pytest.raises(DataError, match=f"{words}; get the file in another way and name it with --from"):
        get(server, tmp_path)
    assert leftovers(tmp_path) == []


def test_a_packed_file_may_be_called_an_encoding(server: FileServer, tmp_path: Path) -> None:
    """Servers name so what a .tgz is; whether it was packed once more, its checksum or content tells."""
    server.files["set.tgz"], server.fields = OLD, {"Content-Encoding": "x-gzip"}
    path = fetch(server.url("set.tgz"), tmp_path / "set.tgz", check=right(OLD), pause=0)
    assert path.read_bytes() == OLD


def test_a_range_may_leave_out_what_tells_files_apart(server: FileServer, tmp_path: Path) -> None:
    """Answers to If-Range need not repeat it; the size is compared all the same."""
    begun(server, tmp_path)
    server.terse, server.drop_after = frozenset(["validator"]), [500_000]
    told = get(server, tmp_path)
    assert ranges(server) == ["bytes=1000000-", "bytes=1500000-"]
    assert len(told) == 1 and "the connection ended" in told[0]
    begun(server, tmp_path / "other")
    server.files["set.zip"], server.honest = NEW[:2_000_000], False
    told = get(server, tmp_path / "other", content=NEW[:2_000_000])
    assert "another file" in told[0]


def test_a_folder_that_refuses_the_lock(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / ".set.zip.lock").mkdir()
    with pytest.raises(DataError, match=r"cannot be written .*choose another folder with --into"):
        get(server, tmp_path)


def test_no_server(tmp_path: Path) -> None:
    with serving() as gone:
        pass
    with pytest.raises(DataError, match=r"Connection refused.*the same command goes on later"):
        fetch(gone.url("set.zip"), tmp_path / "set.zip", check=right(OLD), pause=0)
    with pytest.raises(DataError, match="Connection refused"):
        probe(gone.url("set.zip"))


def test_another_checksum_leaves_nothing(server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="another checksum"):
        get(server, tmp_path, content=NEW)
    assert leftovers(tmp_path) == []
    assert not (tmp_path / "set.zip").exists()


def test_no_room_is_said_before(server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=1000))
    with pytest.raises(DataError, match=r"2.9 MiB needed and 0.0 MiB free; free some space or choose another"):
        get(server, tmp_path)


def test_a_disk_that_becomes_full_keeps_the_part(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(response: object, url: str) -> bytes:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    begun(server, tmp_path)
    with monkeypatch.context() as patch, pytest.raises(DataError, match=r"the disk is full \(No space left.*--into"):
        patch.setattr(download, "_read", full)
        get(server, tmp_path)
    get(server, tmp_path)
    assert ranges(server)[-1] == "bytes=1000000-"


def test_ctrl_c_keeps_the_part(server: FileServer, tmp_path: Path) -> None:
    def interrupt(done: int, total: int, description: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        get(server, tmp_path, progress=interrupt)
    kept = part_of(tmp_path / "set.zip").stat().st_size
    assert kept > 0
    get(server, tmp_path)
    assert ranges(server) == ["", f"bytes={kept}-"]


def test_a_process_that_is_killed_keeps_the_part(server: FileServer, tmp_path: Path) -> None:
    """With SIGKILL, while the server holds the rest back."""
    server.pause_after = 2_000_000
    code = f"""
from pathlib import Path
from trainables.datasets.download import fetch
fetch({server.url("set.zip")!r}, Path({str(tmp_path)!r}) / "set.zip", check=print)
"""
    process = subprocess.Popen([sys.executable, "-c", code])
    try:
        assert server.paused.wait(60)
        while not (part_of(tmp_path / "set.zip").exists() and part_of(tmp_path / "set.zip").stat().st_size > 1_000_000):
            assert process.poll() is None
    finally:
        process.kill()
        process.wait()
    server.pause_after = None
    kept = part_of(tmp_path / "set.zip").stat().st_size
    assert not (tmp_path / "set.zip").exists()
    get(server, tmp_path)
    assert ranges(server) == ["", f"bytes={kept}-"]
