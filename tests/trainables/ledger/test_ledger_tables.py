import json
import math
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ledger_tools import commit_runs, run_name, run_row

from trainables.errors import LedgerError
from trainables.ledger import COLUMNS, Ledger
from trainables.ledger.names import Table
from trainables.ledger.schema import arrow_schema
from trainables.ledger.tables import from_parquet, to_parquet, to_table

RUN = run_name(1)
NOW = datetime(2025, 2, 3, 4, 5, 6, 789, tzinfo=UTC)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.open(tmp_path / "results", create=True)


def test_rows_come_back_as_they_were(ledger: Ledger) -> None:
    config = {"loss": {"scale": 23.0, "name": "norm_softmax"}, "embedding_dim": 64}
    row = run_row(RUN, seed=2**40, fold=1, started_at=NOW, config=config, extra={"test_recall_at_2": 0.25, "a": 1})
    row |= {"test_map_at_r": np.float32(0.1), "steps": np.int64(3), "final_train_loss": math.nan, "error": "x\nµ"}
    epochs = [{"epoch": 1, "phase": "select", "train_loss": 0.1, "extra": {"grad_norm": math.inf}}, {"epoch": 2}]
    ledger.commit(row, epochs=epochs, classes=[{"class_index": 3, "class_name": "é", "images": 5}])
    read = ledger.read("runs").to_pylist()[0]
    assert read["seed"] == 2**40 and read["started_at"] == NOW and read["schema_version"] == 1
    assert read["test_map_at_r"] == float(np.float32(0.1)) and math.isnan(read["final_train_loss"])
    assert dict(read["extra"]) == {"test_recall_at_2": 0.25, "a": 1.0}
    assert read["config"] == '{"embedding_dim":64,"loss":{"name":"norm_softmax","scale":23.0}}'
    assert read["origin"] is None and read["error"] == "x\nµ"
    first, second = ledger.read("epochs").to_pylist()
    assert (first["run_id"], first["attempt"], first["phase"]) == (RUN, "0001_01", "select")
    assert dict(first["extra"]) == {"grad_norm": math.inf} and second["train_loss"] is None
    assert ledger.read("classes", columns=["class_name", "images"]).to_pylist() == [{"class_name": "é", "images": 5}]


@pytest.mark.parametrize("table", ["runs", "epochs", "classes"])
def test_tables_have_the_stated_schema_and_an_empty_ledger_too(ledger: Ledger, table: Table) -> None:
    assert ledger.read(table).schema == arrow_schema(table)
    commit_runs(ledger, range(2))
    read = ledger.read(table)
    assert read.schema == arrow_schema(table) and read.column_names == list(COLUMNS[table])
    nullable = {field.name for field in read.schema if field.nullable}
    assert nullable == set(COLUMNS[table]) - {"run_id", "attempt", "status"}


def test_columns_are_read_in_the_order_asked_for(ledger: Ledger) -> None:
    commit_runs(ledger, range(2))
    assert ledger.read("epochs", columns=["train_loss", "epoch"]).column_names == ["train_loss", "epoch"]
    assert ledger.read("runs", columns=[]).column_names == []
    with pytest.raises(LedgerError, match="table 'epochs' has no column 'train_los'; did you mean 'train_loss'"):
        ledger.read("epochs", columns=["train_los"])
    with pytest.raises(LedgerError, match="no table 'run'; did you mean 'runs'"):
        ledger.read("run")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"test_map_at_k": 0.1}, "table 'runs' has no column 'test_map_at_k'; did you mean 'test_map_at_r'.*'extra'"),
        ({"steps": 2.5}, "column 'steps' of table 'runs' takes int64"),
        ({"fold": 2**31}, "column 'fold' of table 'runs' takes int32"),
        ({"loss": 3}, "column 'loss' of table 'runs' takes string"),
        ({"test_map_at_r": "0.5"}, "column 'test_map_at_r' of table 'runs' takes double"),
        ({"extra": {"x": "y"}}, "column 'extra' of table 'runs' takes map"),
        ({"started_at": datetime(2025, 1, 1)}, "column 'started_at' .* has no time zone"),
        ({"status": "running"}, "status 'running' of run .* is not final"),
        ({"attempt": "1"}, "attempt '1' cannot be stored"),
        ({"run_id": "../../x"}, "cannot be stored: a run_id has 16 hexadecimal digits"),
    ],
)
def test_wrong_row_is_refused_and_nothing_is_written(ledger: Ledger, change: dict[str, Any], message: str) -> None:
    with pytest.raises(LedgerError, match=message):
        ledger.commit({**run_row(RUN), **change}, epochs=[{"epoch": 1}])
    assert ledger.list("") == ["schema.json"]


def test_rows_of_another_run_are_refused(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="table 'epochs' does not belong to run"):
        ledger.commit(run_row(RUN), epochs=[{"run_id": run_name(2), "epoch": 1}])
    with pytest.raises(LedgerError, match=r"no column 'lag'; did you mean 'lr'|known:"):
        ledger.commit(run_row(RUN), epochs=[{"lag": 2}])
    assert ledger.list("") == ["schema.json"]


def test_files_state_their_versions(ledger: Ledger) -> None:
    commit_runs(ledger, range(1))
    for table in ("runs", "epochs", "classes"):
        file = pq.ParquetFile(next((Path(ledger.location) / table).glob("*.parquet")))
        metadata = file.schema_arrow.metadata
        assert metadata[b"dml_study.table"] == table.encode() and metadata[b"dml_study.schema_version"] == b"1"
        assert metadata[b"dml_study.dml_study_version"]
        assert file.metadata.row_group(0).column(0).compression == "ZSTD"


def rewritten(ledger: Ledger, table: Table, change: Callable[[pa.Table], pa.Table]) -> None:
    path = next((Path(ledger.location) / table).glob("*.parquet"))
    content = pq.ParquetFile(path).read()
    pq.write_table(change(content), path)


def test_part_of_an_older_program_lacks_a_column(ledger: Ledger) -> None:
    commit_runs(ledger, range(2))
    rewritten(ledger, "runs", lambda content: content.drop_columns(["host", "extra"]))
    assert ledger.read("runs").schema == arrow_schema("runs")
    assert ledger.read("runs", columns=["host"]).to_pylist() == [{"host": None}] * 2
    ledger.compact(minimum_parts=1)
    assert sorted(ledger.read("runs")["test_map_at_r"].to_pylist()) == [0, 1 / 3]


def test_part_of_a_newer_program_is_refused_rather_than_cut(ledger: Ledger) -> None:
    commit_runs(ledger, range(2))
    rewritten(ledger, "runs", lambda content: content.append_column("carbon", pa.array([1.0])))
    with pytest.raises(LedgerError, match=r"has schema version 1 and the columns carbon.*written by dml-study"):
        ledger.read("runs", columns=["run_id"])
    with pytest.raises(LedgerError, match="carbon"):
        ledger.compact(minimum_parts=1)
    assert len(ledger.list("runs/")) == 2


def test_foreign_parquet_file_is_refused(ledger: Ledger) -> None:
    commit_runs(ledger, range(1))
    rewritten(ledger, "epochs", lambda content: content.replace_schema_metadata(None))
    with pytest.raises(LedgerError, match="has schema version none"):
        ledger.read("epochs")


@pytest.mark.parametrize("damage", [lambda b: b"", lambda b: b[: len(b) // 2], lambda b: b"PAR1" + b[4:-4] + b"XXXX"])
def test_damaged_part_is_named_with_the_remedy(ledger: Ledger, damage: Callable[[bytes], bytes]) -> None:
    commit_runs(ledger, range(3))
    key = f"runs/{run_name(1)}.0001_01.complete.parquet"
    ledger.put(key, damage(ledger.get(key)))
    with pytest.raises(LedgerError, match=f"{key} is damaged .*; delete it: its runs become due again"):
        ledger.read("runs")
    with pytest.raises(LedgerError, match=f"{key} is damaged"):
        ledger.compact(minimum_parts=1)
    ledger.delete(key)
    assert len(ledger.read("runs")) == 2 and run_name(1) not in ledger.commits()


def test_damaged_epochs_part_is_named_with_the_remedy(ledger: Ledger) -> None:
    commit_runs(ledger, range(3))
    key = f"epochs/{run_name(1)}.0001_01.parquet"
    ledger.put(key, ledger.get(key)[:-20])
    with pytest.raises(LedgerError, match=f"{key} is damaged .*keep their results without these rows"):
        ledger.read("epochs")
    ledger.delete(key)
    assert set(ledger.read("epochs")["run_id"].to_pylist()) == {run_name(0), run_name(2)}


def test_no_flipped_byte_of_the_numbers_goes_unnoticed() -> None:
    """Page checksums: whatever byte changes, the same numbers come back or an error does."""
    rows = [{"run_id": RUN, "attempt": "0001_01", "epoch": epoch, "train_loss": epoch / 7} for epoch in range(50)]
    whole = to_table("epochs", rows)
    data = to_parquet("epochs", whole)
    pages = pq.ParquetFile(pa.BufferReader(data)).metadata.row_group(0)
    ends = [pages.column(index).dictionary_page_offset or 0 for index in range(1, pages.num_columns)]
    noticed = 0
    for position in range(4, max(ends), 3):
        flipped = bytearray(data)
        flipped[position] ^= 0x10
        try:
            read = from_parquet("epochs", bytes(flipped), key="epochs/x")
        except LedgerError as error:
            assert "epochs/x is damaged" in str(error)
            noticed += 1
            continue
        assert read.equals(whole)
    assert noticed > 100


def test_versions_column_takes_a_mapping_and_a_text(ledger: Ledger) -> None:
    ledger.commit(run_row(RUN, versions={"torch": "2", "numpy": "1"}, config='{"b": 1}'))
    read = ledger.read("runs", columns=["versions", "config"]).to_pylist()[0]
    assert json.loads(read["versions"]) == {"numpy": "1", "torch": "2"}
    assert read["config"] == '{"b": 1}'
