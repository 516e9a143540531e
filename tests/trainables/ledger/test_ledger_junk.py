"""What operating systems, file servers and sync tools leave in folders does not hurt."""

import subprocess
import sys
from pathlib import Path

import pytest
from ledger_tools import commit_runs, resolved, run_name

from study.invalidation import invalidated_runs
from study.search.records import LedgerRecords
from trainables.ledger import Lease, Ledger
from trainables.ledger.lease import current_generation, holders

JUNK = (
    ".DS_Store",
    "._x.parquet",
    ".fuse_hidden0000001",
    ".nfs000000000000001",
    ".snapshot/hourly.0/x.parquet",
    "desktop.ini",
    "Thumbs.db",
    f"{run_name(0)}.0001_01.complete (conflicted copy).parquet",
    f"{run_name(0)}.0001_01.parquet~",
    f"{run_name(0)}.0001_01.complete.parquet.part",
    "new folder/x.parquet",
)
FOLDERS = (
    *(
        "",
        "runs",
        "epochs",
        "classes",
        "live",
        "drivers",
        "generations",
        "search/c",
        "invalidated",
        "forgotten",
        "evaluations",
    ),
    *("evaluations", "logs", "artifacts", f"artifacts/{run_name(1)}", "checkpoints", f"checkpoints/{run_name(9)}"),
)


def litter(results: Path) -> set[Path]:
    """Puts junk into every folder; returns where, but for what has a leading dot."""
    for folder in FOLDERS:
        for name in JUNK:
            path = results / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"\x00\x01junk")
    return {results / folder / name for folder in FOLDERS for name in JUNK}


@pytest.mark.parametrize("minimum_parts", [2, 1000])
def test_junk_in_every_folder_changes_nothing(tmp_path: Path, minimum_parts: int) -> None:
    ledgers = [Ledger.open(tmp_path / name, create=True) for name in ("clean", "littered")]
    placed = litter(tmp_path / "littered")
    for ledger in ledgers:
        with Lease(ledger, interval=1e9, sleep=lambda seconds: None) as lease:
            commit_runs(ledger, range(4), attempt=f"{lease.generation:04d}_01")
            ledger.save_checkpoint(run_name(9), ledger.new_attempt(run_name(9), generation=1), 1, b"state")
            ledger.sweep()
            ledger.compact(minimum_parts=minimum_parts)
            ledger.forget(run_name(3))
            assert len(holders(ledger)) == 1 and current_generation(ledger) == 1
    clean, littered = ledgers
    assert resolved(littered) == resolved(clean)
    assert littered.commits() == clean.commits() and len(clean.commits()) == 3
    assert [live["attempt"] for live in littered.live()] == ["0001_01"]
    assert [saved.payload for saved in littered.checkpoints(run_name(9))] == [b"state"]
    assert LedgerRecords(littered).load("c") == {} and invalidated_runs(littered) == set()
    assert Ledger.open(tmp_path / "sibling", create=True).adopt(littered, run_name(0)) == [run_name(0)]
    assert {path for path in placed if not path.exists()} == set(), "what is not ours was deleted"


@pytest.mark.parametrize("name", [".DS_Store", "desktop.ini", "Thumbs.db", "lost+found/"])
def test_a_folder_with_junk_alone_is_empty(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "results"
    folder.mkdir()
    (folder / name).mkdir() if name.endswith("/") else (folder / name).write_bytes(b"")
    assert Ledger.open(folder, create=True).commits() == {}


AS_ANOTHER_USER = """
import os, pathlib, shutil, tempfile
from trainables.ledger import Ledger
from trainables.ledger.folder import results_beside
os.geteuid() == 0 and os.setuid(65534)
top = pathlib.Path(tempfile.mkdtemp(dir="/tmp"))
for name in ("mine", "theirs"):
    Ledger.open(top / name, create=True)
print([path.name for path in results_beside(top / "mine")])
(top / "theirs").chmod(0)
print(results_beside(top / "mine"))
top.chmod(0o300)
print(results_beside(top / "mine"))
top.chmod(0o700)
(top / "theirs").chmod(0o700)
shutil.rmtree(top)
"""


def test_folders_that_may_not_be_looked_into_are_no_siblings() -> None:
    command = [sys.executable, "-c", AS_ANOTHER_USER]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    assert answer.stdout.splitlines() == ["['theirs']", "[]", "[]"]
