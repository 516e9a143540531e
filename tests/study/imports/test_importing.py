"""Runs of another results folder: all of them once, with their provenance, over whatever is killed."""

import json
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ledger_tools import MemoryStore, commit_runs, run_name, run_row

from study.importing import Imported, import_runs, opened
from study.invalidation import invalidate
from trainables.errors import LedgerError
from trainables.ledger import Ledger
from trainables.ledger.names import KEPT_KEYS, TABLES, weights_key


class Kill(BaseException):
    """The process is gone: no handler for errors may see it."""


@pytest.fixture
def other(tmp_path: Path) -> Ledger:
    """Four complete runs, some compacted, one with kept weights; a failed and a pruned one; a search; a plan."""
    ledger = Ledger.open(tmp_path / "other", create=True)
    commit_runs(ledger, range(2), attempt="0007_02")
    ledger.compact(minimum_parts=1)
    commit_runs(ledger, range(2, 4), attempt="0008_01")
    ledger.commit(run_row(run_name(8), status="failed", error="nan"))
    ledger.commit(run_row(run_name(9), status="pruned"))
    ledger.put(weights_key(run_name(1)), b"weights")
    ledger.put("search/cell/0.json", b'{"params": {}, "runs": []}')
    ledger.put("search/cell/1.json", b'{"params": {"x": 1}, "runs": []}')
    ledger.write_plan({"study": "other", "spec": "other.yaml", "cells": []})
    return ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.open(tmp_path / "mine", create=True)


def tables(ledger: Ledger) -> dict[str, list[dict[str, Any]]]:
    found = {table: ledger.read(table).to_pylist() for table in TABLES}
    return {
        table: sorted(({**row, "origin": None} for row in rows if int(row["run_id"], 16) < 8), key=repr)
        for table, rows in found.items()
    }


def test_complete_runs_come_with_everything_once(ledger: Ledger, other: Ledger) -> None:
    done = import_runs(ledger, other)
    assert done == Imported([run_name(i) for i in range(4)], [], [], [], {"failed": 1, "pruned": 1}, 1, True)
    assert tables(ledger) == tables(other) and len(tables(ledger)["epochs"]) == 8
    assert set(ledger.read("runs")["origin"].to_pylist()) == {other.location}
    assert ledger.get(weights_key(run_name(1))) == b"weights"
    assert ledger.list("search/") == ["search/cell/0.json", "search/cell/1.json"]
    assert ledger.read_plan()["study"] == "other"

    before = {key: ledger.get(key) for key in ledger.list("")}
    again = import_runs(ledger, other)
    assert (again.taken, len(again.present), again.disagreements, again.searches) == ([], 4, [], 0)
    assert {key: ledger.get(key) for key in ledger.list("")} == before


def test_what_is_here_stays_and_differences_are_told(ledger: Ledger, other: Ledger) -> None:
    commit_runs(ledger, range(1))
    ledger.commit(run_row(run_name(1), test_map_at_r=0.25, test_recall_at_1=0.5))
    ledger.commit(run_row(run_name(2), status="failed"))
    ledger.put("search/cell/0.json", b'{"params": {"x": 9}, "runs": []}')
    ledger.write_plan({"study": "mine", "spec": "mine.yaml", "cells": []})
    done = import_runs(ledger, other)
    assert (done.taken, done.present) == ([run_name(2), run_name(3)], [run_name(0), run_name(1)])
    (different,) = done.disagreements
    assert (different.run_id, different.metric, different.more) == (run_name(1), "test_recall_at_1", 1)
    assert (different.here, different.there) == (0.5, None)
    values = {row["run_id"]: row["test_map_at_r"] for row in ledger.read("runs").to_pylist()}
    assert values[run_name(1)] == 0.25 and values[run_name(2)] == 2 / 3
    assert ledger.commits()[run_name(2)].status == "complete"
    assert not ledger.exists(weights_key(run_name(1))), "of a network with other numbers"
    assert json.loads(ledger.get("search/cell/0.json"))["params"] == {"x": 9}
    assert ledger.list("search/") == ["search/cell/0.json"] and ledger.read_plan()["study"] == "mine"


def test_kept_objects_come_for_runs_that_are_here(ledger: Ledger, other: Ledger) -> None:
    commit_runs(ledger, range(2), attempt="0003_01")
    import_runs(ledger, other)
    assert ledger.get(weights_key(run_name(1))) == b"weights"
    assert ledger.commits()[run_name(1)].attempt == "0003_01"


def test_runs_that_were_invalidated_here_stay_out(ledger: Ledger, other: Ledger) -> None:
    commit_runs(ledger, range(1))
    invalidate(ledger, [run_name(0)], reason="wrong labels")
    done = import_runs(ledger, other)
    assert done.invalidated == [run_name(0)] and run_name(0) not in ledger.commits()


def test_killed_anywhere_and_repeated_it_ends_the_same(tmp_path: Path) -> None:
    other, count = Ledger.open(tmp_path / "other", create=True), [0]
    commit_runs(other, range(2), epochs=1)
    for key in (weights_key(run_name(1)), "search/cell/0.json", "search/cell/1.json", "spec.yaml"):
        other.put(key, key.encode())
    other.write_plan({"study": "other", "spec": "other.yaml", "cells": []})
    whole, kept = tables(other), other.list("artifacts/") + other.list("search/")

    def stop_after(survived: int) -> Callable[[str, str], None]:
        count[0] = 0

        def die(kind: str, key: str) -> None:
            count[0] += 1
            if count[0] > survived:
                raise Kill

        return die

    undisturbed = MemoryStore()
    undisturbed.before = stop_after(10**6)
    import_runs(Ledger(undisturbed), other)
    steps = count[0]
    assert steps == 1 + 2 * 3 + 2 + 2, "weights, three tables of two runs, two settings, spec and plan"
    for survived in range(steps):
        store = MemoryStore()
        store.before = stop_after(survived)
        with pytest.raises(Kill):
            import_runs(Ledger(store), other)
        rest = Ledger(MemoryStore(store.objects))
        committed = set(rest.commits())
        for table, rows in tables(rest).items():
            assert rows == [row for row in whole[table] if row["run_id"] in committed]
        import_runs(rest, other)
        assert tables(rest) == whole and rest.list("artifacts/") + rest.list("search/") == kept
        assert {key: rest.get(key) for key in kept} == {key: key.encode() for key in kept}
        assert rest.read_plan()["study"] == "other" and rest.get("spec.yaml") == b"spec.yaml"


def packed_zip(folder: Path, target: Path) -> Path:
    with zipfile.ZipFile(target, "w") as archive:
        for file in folder.rglob("*"):
            archive.write(file, Path("backup") / file.relative_to(folder.parent))
    return target


def packed_tar(folder: Path, target: Path) -> Path:
    with tarfile.open(target, "w:gz") as archive:
        archive.add(folder, arcname=".")
    return target


@pytest.mark.parametrize(("pack", "name"), [(packed_zip, "old.zip"), (packed_tar, "old.tar.gz")])
def test_archives_of_a_folder(
    ledger: Ledger, other: Ledger, tmp_path: Path, pack: Callable[[Path, Path], Path], name: str
) -> None:
    archive = pack(Path(other.location), tmp_path / name)
    with opened(archive) as unpacked:
        folder = Path(unpacked.location)
        done = import_runs(ledger, unpacked, origin=str(archive))
    assert len(done.taken) == 4 and tables(ledger) == tables(other)
    assert set(ledger.read("runs")["origin"].to_pylist()) == {str(archive)}
    assert not folder.exists()


def test_what_is_no_ledger_of_this_version_is_refused(ledger: Ledger, other: Ledger, tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="imported into itself"):
        import_runs(other, Ledger.open(other.location))
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.txt").write_text("a")
    (tmp_path / "notes.txt").write_text("a")
    schema = Path(other.location) / "schema.json"
    schema.write_text(json.dumps({**json.loads(schema.read_text()), "schema_version": 2}))
    cases = {
        tmp_path / "photos": "is not a results folder: it has no schema.json",
        tmp_path / "nowhere": "there is no results folder",
        tmp_path / "notes.txt": "no results folder and no archive of one",
        packed_zip(tmp_path / "photos", tmp_path / "photos.zip"): "has no results folder",
        Path(other.location): "has schema version 2, this program expects 1",
        packed_tar(Path(other.location), tmp_path / "newer.tar"): "has schema version 2, this program expects 1",
    }
    (tmp_path / "cut.zip").write_bytes((tmp_path / "photos.zip").read_bytes()[:40])
    for place, message in {**cases, tmp_path / "cut.zip": "nothing is imported: "}.items():
        with pytest.raises(LedgerError, match=message), opened(place):
            pass
    assert ledger.commits() == {}


def test_a_damaged_part_is_named_and_nothing_of_it_taken(ledger: Ledger, other: Ledger) -> None:
    (part,) = (Path(other.location) / "runs").glob(f"{run_name(3)}.*")
    part.write_bytes(part.read_bytes()[:-20])
    with pytest.raises(LedgerError, match=f"{part.name} is damaged"):
        import_runs(ledger, other)
    assert ledger.commits() == {} and KEPT_KEYS


def test_errors_name_the_archive_and_not_where_it_is_unpacked(other: Ledger, tmp_path: Path) -> None:
    other.delete("plan.json")
    archive = packed_zip(tmp_path / "other", tmp_path / "old.zip")
    with pytest.raises(LedgerError) as caught, opened(archive) as unpacked:
        unpacked.read_plan()
    assert str(caught.value).startswith(f"{archive}/plan.json does not exist")
