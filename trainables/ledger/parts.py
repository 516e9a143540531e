"""The part files of one attempt: what it is called, and its rows as bytes."""

from collections.abc import Sequence
from typing import Any

from trainables.errors import LedgerError
from trainables.ledger.names import FINAL_STATUSES, Commit, Table, require_names
from trainables.ledger.schema import SCHEMA_VERSION
from trainables.ledger.tables import Row, to_parquet, to_table


def commit_of(run_row: Row) -> Commit:
    """Whose end a row of table `runs` states."""
    run_id, attempt, status = (str(run_row.get(key)) for key in ("run_id", "attempt", "status"))
    require_names(run_id, attempt)
    if status not in FINAL_STATUSES:
        raise LedgerError(f"status '{status}' of run {run_id} is not final: {', '.join(FINAL_STATUSES)}")
    return Commit(run_id, attempt, status)


def part_of(table: Table, commit: Commit, rows: Sequence[Row]) -> bytes:
    """The rows of a commit as a part file."""
    for row in rows:
        if row.get("run_id", commit.run_id) != commit.run_id:
            raise LedgerError(f"a row of run {row['run_id']} in table '{table}' does not belong to run {commit.run_id}")
    stamp: dict[str, Any] = {"run_id": commit.run_id, "attempt": commit.attempt}
    if table == "runs":
        stamp["schema_version"] = SCHEMA_VERSION
    return to_parquet(table, to_table(table, [{**row, **stamp} for row in rows]))
