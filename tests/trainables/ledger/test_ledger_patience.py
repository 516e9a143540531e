"""A storage that is away for a while: waited for and told of; gone for good, it is named at once the next time."""

import errno
import logging
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from ledger_tools import commit_runs, resolved, run_name
from s3_server import S3Server

from trainables.errors import ConfigError, LedgerError
from trainables.ledger import Ledger, MissingKeyError
from trainables.ledger.object_store import ObjectStore
from trainables.ledger.patience import VARIABLE, Patience
from trainables.ledger.store import LocalStore

RUN = run_name(1)


class Sleeper:
    """Takes the place of sleeping: counts, and does something at the nth pause."""

    def __init__(self) -> None:
        self.pauses: list[float] = []
        self.at: dict[int, Callable[[], object]] = {}

    def __call__(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.at.get(len(self.pauses), lambda: None)()


@pytest.fixture
def sleeper() -> Sleeper:
    return Sleeper()


@pytest.fixture
def store(tmp_path: Path, sleeper: Sleeper) -> LocalStore:
    """The store of a results folder with two runs, which is known to be there."""
    ledger = Ledger.open(tmp_path / "s", create=True)
    commit_runs(ledger, range(2))
    patience = Patience("the folder", answered=True, sleep=sleeper)
    return LocalStore(tmp_path / "s", marker="schema.json", patience=patience)


def unmounted(folder: Path, *, empty: bool) -> Callable[[], None]:
    """Takes a folder away, as a mount that leaves an empty folder or as one that leaves nothing; gives it back."""
    aside = folder.with_name("aside")
    folder.rename(aside)
    if empty:
        folder.mkdir()

    def give_back() -> None:
        if empty:
            folder.rmdir()  # fails if anything was written meanwhile
        assert not folder.exists()
        aside.rename(folder)

    return give_back


USES = {
    "put": lambda store: store.put("runs/new", b"1"),
    "get": lambda store: store.get("schema.json"),
    "exists": lambda store: store.exists("schema.json"),
    "delete": lambda store: store.delete("schema.json.old"),
    "list": lambda store: store.list("runs/"),
}


@pytest.mark.parametrize("empty", [False, True])
@pytest.mark.parametrize("use", USES)
def test_a_folder_that_is_away_is_waited_for(
    store: LocalStore, sleeper: Sleeper, use: str, empty: bool, caplog: pytest.LogCaptureFixture
) -> None:
    expected = USES[use](store)
    sleeper.at[4] = unmounted(store.root, empty=empty)
    with caplog.at_level(logging.WARNING):
        assert USES[use](store) == expected
    assert sleeper.pauses == [1.0, 4.0, 15.0, 30.0]
    waiting, back = (record.getMessage() for record in caplog.records)
    assert waiting.startswith("waiting up to 300 s for the folder, nothing is lost: it has no schema.json")
    assert back == "the folder answers again"
    assert len(Ledger(store).commits()) == 2


def test_a_whole_commit_waits_and_is_whole(store: LocalStore, sleeper: Sleeper, tmp_path: Path) -> None:
    ledger = Ledger(store)
    sleeper.at[2] = unmounted(store.root, empty=True)
    commit_runs(ledger, range(2, 3))
    undisturbed = Ledger.open(tmp_path / "other", create=True)
    commit_runs(undisturbed, range(3))
    assert resolved(Ledger.open(store.root)) == resolved(undisturbed)


def test_a_folder_that_is_gone_is_named_and_then_no_longer_waited_for(store: LocalStore, sleeper: Sleeper) -> None:
    give_back = unmounted(store.root, empty=False)
    message = rf"results folder {store.root} is gone: it has no schema\.json .*; bring it back, then run the same"
    with pytest.raises(LedgerError, match=message):
        store.put("runs/x", b"1")
    assert sum(sleeper.pauses) == 300
    sleeper.pauses.clear()
    for use in USES.values():
        with pytest.raises(LedgerError, match=message):
            use(store)
    assert sleeper.pauses == [] and not store.root.exists()
    give_back()
    store.put("runs/x", b"1")
    sleeper.at[1] = unmounted(store.root, empty=False)
    assert store.get("runs/x") == b"1" and sleeper.pauses == [1.0]


def test_what_is_missing_in_a_folder_that_is_there_is_not_waited_for(store: LocalStore, sleeper: Sleeper) -> None:
    with pytest.raises(MissingKeyError):
        store.get("runs/absent")
    assert not store.exists("runs/absent") and store.list("absent/") == []
    store.delete("runs/absent")
    assert sleeper.pauses == []


@pytest.mark.parametrize(
    ("number", "waits"),
    [
        *((number, 2) for number in (errno.ESTALE, errno.EIO, errno.ENOTCONN, errno.ETIMEDOUT, errno.EHOSTDOWN)),
        *((number, 0) for number in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS)),
    ],
)
@pytest.mark.parametrize("call", ["open", "fsync", "replace", "read_bytes"])
def test_errors_of_a_server_that_restarts_pass_and_others_do_not(
    store: LocalStore, sleeper: Sleeper, monkeypatch: pytest.MonkeyPatch, number: int, waits: int, call: str
) -> None:
    owner = os if call == "fsync" else Path
    real, left = getattr(owner, call), [OSError(number, os.strerror(number)) for _ in range(2)]

    def failing(*arguments: object, **named: object) -> object:
        if left:
            raise left.pop()
        return real(*arguments, **named)

    monkeypatch.setattr(owner, call, failing)
    use = store.get if call == "read_bytes" else lambda key: store.put(key, b"new")
    if call == "read_bytes" and number == errno.ESTALE:  # so NFS says that another host deleted a file
        with pytest.raises(MissingKeyError):
            use("schema.json")
    elif waits:
        use("schema.json")
    else:
        with pytest.raises(LedgerError, match=os.strerror(number)):
            use("schema.json")
        assert sleeper.pauses == []
    assert len(sleeper.pauses) <= waits
    assert not list(store.root.rglob(".*.tmp"))


def test_a_write_whose_beginning_another_process_cleaned_up_is_repeated(
    store: LocalStore, sleeper: Sleeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clock that jumps ahead makes a write under way look like one that was killed long ago."""
    replace, cleaned = Path.replace, []

    def replaced(self: Path, target: Path) -> Path:
        if not cleaned:
            cleaned.append(self)
            with monkeypatch.context() as patch:
                patch.setattr("trainables.ledger.store.time.time", lambda: 4e9)
                LocalStore(store.root).clean()
            assert not self.exists()
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", replaced)
    store.put("checkpoints/x/1", b"state")
    assert store.get("checkpoints/x/1") == b"state" and sleeper.pauses == [1.0]


def test_a_process_that_is_told_of_a_folder_waits_for_it(
    tmp_path: Path, sleeper: Sleeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit_runs(Ledger.open(tmp_path / "s", create=True), range(1))
    give_back = unmounted(tmp_path / "s", empty=False)
    sleeper.at[1] = give_back
    monkeypatch.setattr("trainables.ledger.folder.Patience", partial(Patience, sleep=sleeper))
    ledger = Ledger.reopen(str(tmp_path / "s"))
    assert len(ledger.commits()) == 1 and sleeper.pauses == [1.0]
    shutil.rmtree(tmp_path / "s")
    with pytest.raises(LedgerError, match=r"there is no results folder .*/s; `dml-study run` creates it"):
        Ledger.open(tmp_path / "s")


@pytest.mark.parametrize(("text", "pauses"), [("0", []), ("7", [1.0, 4.0, 2.0]), ("20", [1.0, 4.0, 15.0])])
def test_the_environment_says_how_long(
    sleeper: Sleeper, monkeypatch: pytest.MonkeyPatch, text: str, pauses: list[float]
) -> None:
    monkeypatch.setenv(VARIABLE, text)

    def fail() -> None:
        raise OSError("away")

    with pytest.raises(OSError, match="away"):
        Patience("x", answered=True, sleep=sleeper).repeat(fail, passes=lambda error: True)
    assert sleeper.pauses == pauses


@pytest.mark.parametrize("text", ["soon", "-1", "inf", "nan"])
def test_a_wait_that_is_no_number_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(VARIABLE, text)
    with pytest.raises(ConfigError, match=f"{VARIABLE}={text}: should be a number of seconds"):
        Patience("x")


@pytest.mark.slow  # pyarrow's own tries take 6 s
def test_a_server_that_is_started_again_is_waited_for(server: S3Server, sleeper: Sleeper) -> None:
    address = server.uri("bucket/results/s")
    store = ObjectStore(address, patience=Patience(address, sleep=sleeper))
    store.put("runs/x", b"old")
    server.stop()
    sleeper.at[1] = server.start
    store.put("runs/x", b"new")
    assert store.get("runs/x") == b"new" and sleeper.pauses == [1.0]
