import errno
import os
import resource
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from trainables.errors import LedgerError
from trainables.ledger import Ledger, MissingKeyError
from trainables.ledger.store import LocalStore


def test_objects_come_back_and_go(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    store.put("a/b/c", b"one")
    store.put("a/b/c", b"two", durable=False)
    assert store.get("a/b/c") == b"two"
    assert store.exists("a/b/c") and not store.exists("a/b")
    store.delete("a/b/c")
    store.delete("a/b/c")
    assert not store.exists("a/b/c")
    with pytest.raises(MissingKeyError, match="a/b/c does not exist"):
        store.get("a/b/c")


def test_list_gives_keys_by_prefix_and_no_unfinished_writes(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    for key in ("runs/b", "runs/a", "runsx", "checkpoints/r1/1", "checkpoints/r2/1", "top"):
        store.put(key, b"")
    (tmp_path / "runs" / ".c.123.tmp").write_bytes(b"half")
    assert store.list("runs/") == ["runs/a", "runs/b"]
    assert store.list("runs") == ["runs/a", "runs/b", "runsx"]
    assert store.list("checkpoints/") == ["checkpoints/r1/1", "checkpoints/r2/1"]
    assert store.list("checkpoints/r1/") == ["checkpoints/r1/1"]
    assert store.list("checkpoints/r1", "checkpoints/absent") == ["checkpoints/r1/1"]
    assert store.list("runs/b", "runs/a") == ["runs/a", "runs/b"]
    assert store.list("absent/") == []
    assert len(store.list("")) == 6


@pytest.mark.parametrize("key", ["/etc/passwd", "../x", "a/../../x"])
def test_keys_stay_inside_the_folder(tmp_path: Path, key: str) -> None:
    with pytest.raises(LedgerError, match="relative paths"):
        LocalStore(tmp_path).put(key, b"")


FAILURES = [
    (errno.ENOSPC, "the disk or quota is full: free some space"),
    (errno.EDQUOT, "the disk or quota is full"),
    (errno.EACCES, "permission is missing: change the folder's owner or mode"),
    (errno.EROFS, "read-only"),
    (errno.EIO, "check the folder's file system"),
]


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize(("number", "remedy"), FAILURES)
def test_failed_write_leaves_nothing_and_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int, remedy: str
) -> None:
    store = LocalStore(tmp_path)
    store.put("runs/x", b"old")

    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patched:
        if call == "fsync":
            patched.setattr(os, "fsync", fail)
        else:
            patched.setattr(Path, "replace", fail)
        with pytest.raises(LedgerError, match=remedy) as caught:
            store.put("runs/x", b"new")
    assert str(tmp_path / "runs" / "x") in str(caught.value)
    assert isinstance(caught.value.__cause__, OSError)
    assert store.get("runs/x") == b"old"
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["x"]


@pytest.fixture
def small_files() -> Iterator[None]:
    """A real limit of the operating system: no file may grow beyond 64 KiB."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_write_that_the_system_cuts_short_leaves_nothing(tmp_path: Path, small_files: None) -> None:
    ledger = Ledger.open(tmp_path / "results", create=True)
    with pytest.raises(LedgerError, match=r"cannot write .*000003\.ckpt: File too large"):
        ledger.save_checkpoint("0" * 16, "0001_01", 3, b"x" * (1 << 17))
    assert ledger.list("checkpoints/") == []
    assert list((tmp_path / "results").rglob(".*.tmp")) == []


def test_folder_without_permission(tmp_path: Path) -> None:
    code = (
        "import os, sys, pathlib\n"
        "from trainables.errors import LedgerError; from trainables.ledger import Ledger\n"
        "from trainables.ledger.store import LocalStore\n"
        "os.geteuid() == 0 and os.setuid(65534)\n"
        "try: LocalStore(pathlib.Path(sys.argv[1])).put('runs/x', b'')\n"
        "except LedgerError as error: print(error)\n"
        "try: Ledger.open(sys.argv[1] + '/results', create=True)\n"
        "except LedgerError as error: print(error)\n"
    )
    folder = tmp_path / "closed"
    folder.mkdir()
    folder.chmod(0o555)
    answer = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True)
    writing, opening = answer.stdout.splitlines()
    for message in (writing, opening):
        assert "permission is missing" in message and "owner or mode" in message and str(folder) in message


def test_clean_removes_only_what_is_old(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    for key in ("runs/whole", "checkpoints/old/x", "checkpoints/new/x"):
        store.put(key, b"")
    store.delete("checkpoints/old/x")
    store.delete("checkpoints/new/x")
    old, new = tmp_path / "runs" / ".x.1.tmp", tmp_path / "runs" / ".y.2.tmp"
    for path in (old, new):
        path.write_bytes(b"half")
    for path in (old, tmp_path / "runs" / "whole", tmp_path / "checkpoints" / "old", tmp_path / "runs"):
        os.utime(path, (1, 1))
    store.clean()
    assert not old.exists() and new.exists()
    assert store.exists("runs/whole")
    assert not (tmp_path / "checkpoints" / "old").exists()
    assert (tmp_path / "checkpoints" / "new").exists()


def test_everything_is_synced_before_it_is_visible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def spy_fsync(descriptor: int) -> None:
        events.append("sync " + ("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"))
        fsync(descriptor)

    def spy_replace(self: Path, target: Path) -> Path:
        events.append("rename")
        return replace(self, target)

    store = LocalStore(tmp_path)
    monkeypatch.setattr(os, "fsync", spy_fsync)
    monkeypatch.setattr(Path, "replace", spy_replace)
    store.put("runs/x", b"1")
    assert events == ["sync folder", "sync file", "rename", "sync folder"]  # first the parent of the new folder
    events.clear()
    store.put("runs/x", b"2", durable=False)
    assert events == ["rename"]
