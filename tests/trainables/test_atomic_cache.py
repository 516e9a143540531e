"""A cache entry is complete or absent, whatever fails or is killed on the way."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from trainables.atomic_cache import build_once


def _fill(folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "a").write_text("1")
    (folder / "b").write_text("2")


def _complete(folder: Path) -> bool:
    return (folder / "sub" / "a").exists() and (folder / "b").exists()


def _refuse(folder: Path) -> None:
    raise AssertionError(f"built again: {folder}")


def _entries(parent: Path) -> set[str]:
    """What stands in a folder besides locks."""
    return {path.name for path in parent.iterdir() if not path.name.endswith(".lock")}


def test_builds_once_and_leaves_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "entry"
    assert build_once(folder, _fill, is_valid=_complete) == folder
    assert _complete(folder)
    assert _entries(folder.parent) == {"entry"}
    build_once(folder, _refuse, is_valid=_complete)


def test_the_entry_has_no_name_while_it_is_built(tmp_path: Path) -> None:
    folder = tmp_path / "entry"

    def build(target: Path) -> None:
        assert target != folder
        assert target.parent == folder.parent, "another file system would make the rename a copy"
        _fill(target)
        assert not folder.exists()

    build_once(folder, build, is_valid=_complete)


def test_an_invalid_entry_is_replaced_as_a_whole(tmp_path: Path) -> None:
    folder = tmp_path / "entry"
    folder.mkdir()
    (folder / "stale").write_text("old")
    build_once(folder, _fill, is_valid=_complete)
    assert _complete(folder)
    assert not (folder / "stale").exists()
    assert _entries(tmp_path) == {"entry"}


def test_a_failing_build_leaves_nothing_and_the_next_one_succeeds(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "b").write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        build_once(tmp_path / "entry", fail, is_valid=_complete)
    assert _entries(tmp_path) == set()
    assert _complete(build_once(tmp_path / "entry", _fill, is_valid=_complete))


def test_a_build_that_its_own_check_refuses_is_not_published(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="refused right after it was built"):
        build_once(tmp_path / "entry", lambda folder: None, is_valid=_complete)
    assert _entries(tmp_path) == set()


_KILLED = """
import os, signal, sys
from pathlib import Path
from trainables import atomic_cache

calls, fatal = 0, int(sys.argv[2])

def counted(function):
    def wrapper(*args):
        global calls
        if calls == fatal:
            os.kill(os.getpid(), signal.SIGKILL)
        calls += 1
        return function(*args)
    return wrapper

atomic_cache._flush_one = counted(atomic_cache._flush_one)
Path.rename = counted(Path.rename)
Path.write_text = counted(Path.write_text)

def build(folder):
    (folder / "a").write_text("new")
    (folder / "b").write_text("new")

def whole(folder):
    return all((folder / name).exists() and (folder / name).read_bytes() == b"new" for name in "ab")

atomic_cache.build_once(Path(sys.argv[1]), build, is_valid=whole)
"""


# Counted calls: two files written, two files and their folder flushed, old aside, new in place, parent flushed.
@pytest.mark.parametrize("point", range(8))
def test_a_kill_at_any_point_leaves_the_whole_entry_or_none(tmp_path: Path, point: int) -> None:
    folder = tmp_path / "entry"
    folder.mkdir()
    (folder / "a").write_text("invalid")

    def whole(entry: Path) -> bool:
        return {path.name: path.read_text() for path in entry.iterdir()} == {"a": "new", "b": "new"}

    def build(target: Path) -> None:
        for name in "ab":
            (target / name).write_text("new")

    killed = subprocess.run([sys.executable, "-c", _KILLED, str(folder), str(point)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not folder.exists() or whole(folder) or (folder / "a").read_text() == "invalid"
    build_once(folder, build, is_valid=whole)
    assert whole(folder)
    assert not (tmp_path / ".entry.new").exists()


_SLOW = """
import sys, time
from pathlib import Path
from trainables.atomic_cache import build_once

entry, me = Path(sys.argv[1]), sys.argv[2]
signals = entry.parent / "signals"

def build(folder):
    (signals / f"building-{me}").touch()
    while not (signals / "go").exists():
        time.sleep(0.01)
    (folder / "by").write_text(me)

(signals / f"started-{me}").touch()
build_once(entry, build, is_valid=lambda folder: (folder / "by").exists())
print((entry / "by").read_text())
"""


def test_of_two_processes_one_builds_and_the_other_waits(tmp_path: Path) -> None:
    signals = tmp_path / "signals"
    signals.mkdir()

    def start(name: str) -> subprocess.Popen[str]:
        arguments = [sys.executable, "-c", _SLOW, str(tmp_path / "entry"), name]
        return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)

    first = start("first")
    _wait_for(signals / "building-first")
    second = start("second")
    _wait_for(signals / "started-second")
    (signals / "go").touch()
    assert first.communicate(timeout=60)[0].strip() == "first"
    assert second.communicate(timeout=60)[0].strip() == "first"
    assert not (signals / "building-second").exists()


def test_the_lock_of_a_killed_builder_is_free(tmp_path: Path) -> None:
    signals = tmp_path / "signals"
    signals.mkdir()
    process = subprocess.Popen([sys.executable, "-c", _SLOW, str(tmp_path / "entry"), "first"])
    _wait_for(signals / "building-first")
    os.kill(process.pid, signal.SIGKILL)
    process.wait(timeout=60)
    assert not (tmp_path / "entry").exists()
    assert _complete(build_once(tmp_path / "entry", _fill, is_valid=_complete))
    assert _entries(tmp_path) == {"entry", "signals"}


def _wait_for(path: Path) -> None:
    end = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < end, f"{path.name} never appeared"
        time.sleep(0.01)
