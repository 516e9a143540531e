"""Rows to Parquet bytes and back. The only module that knows the file format; pyarrow is loaded on first use."""

import json
import operator
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from trainables.errors import LedgerError
from trainables.ledger.names import Table
from trainables.ledger.schema import COLUMNS, JSON_COLUMNS, REQUIRED, SCHEMA_VERSION, arrow_schema, program_version
from trainables.spelling import nearest

if TYPE_CHECKING:
    import pyarrow as pa

Row = Mapping[str, Any]


def to_table(table: Table, rows: Sequence[Row]) -> "pa.Table":
    """Rows as an Arrow table of the table's schema; absent keys become null.

    Raises:
        LedgerError: a key that is no column, a missing identity, or a value of another type.
    """
    import pyarrow as pa

    for row in rows:
        _check_row(table, row)
    columns = [_column(table, name, [row.get(name) for row in rows]) for name in COLUMNS[table]]
    return pa.Table.from_arrays(columns, schema=arrow_schema(table))


def _check_row(table: Table, row: Row) -> None:
    for key in row:
        if key not in COLUMNS[table]:
            hint = nearest(key, list(COLUMNS[table]))
            raise LedgerError(f"table '{table}' has no column '{key}'; {hint} Other metrics go into 'extra'.")
    missing = [name for name in REQUIRED if name in COLUMNS[table] and row.get(name) is None]
    if missing:
        raise LedgerError(f"a row of table '{table}' lacks {', '.join(missing)}")


def _column(table: Table, name: str, values: list[Any]) -> "pa.Array":
    import pyarrow as pa

    kind = arrow_schema(table).field(name).type
    try:
        return pa.array([_encoded(table, name, value) for value in values], type=kind)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise LedgerError(f"column '{name}' of table '{table}' takes {kind}: {error}") from error


def _encoded(table: Table, name: str, value: Any) -> Any:
    if value is not None and COLUMNS[table][name].startswith("int"):
        return operator.index(value)  # pyarrow would cut 2.5 down to 2
    if name in JSON_COLUMNS and isinstance(value, Mapping):
        return json.dumps(value, sort_keys=True, separators=(",", ":"))
    if name == "extra" and isinstance(value, Mapping):
        return sorted(value.items())
    if isinstance(value, datetime) and value.tzinfo is None:
        raise ValueError(f"{value} has no time zone")
    return value


def to_parquet(table: Table, content: "pa.Table", *, metadata: Mapping[str, str] | None = None) -> bytes:
    """A whole Parquet file in memory: zstd, page checksums, and the versions in its metadata."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    stated = {"table": table, "schema_version": str(SCHEMA_VERSION), "dml_study_version": program_version()}
    named = {f"dml_study.{key}": value for key, value in {**stated, **(metadata or {})}.items()}
    sink = pa.BufferOutputStream()
    pq.write_table(
        content.replace_schema_metadata(named),
        sink,
        compression="zstd",
        write_page_checksum=True,
        use_dictionary=len(content) > 1,  # of one row it would only cost time
    )
    return bytes(sink.getvalue())


def from_parquet(table: Table, data: bytes, *, key: str, columns: Sequence[str] | None = None) -> "pa.Table":
    """Columns of a Parquet file, aligned with the schema: columns that an older file lacks are null.

    Raises:
        LedgerError: damaged bytes, or a file of another version; names `key` and the remedy.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    wanted = list(COLUMNS[table]) if columns is None else list(columns)
    try:
        file = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True)
        schema = file.schema_arrow  # made anew at each look
        _check_version(table, schema, key)
        present = set(schema.names)
        content = file.read(
            columns=[name for name in wanted if name in present], use_threads=file.metadata.num_rows > 1
        )
        return _aligned(table, content, wanted)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise LedgerError(f"{key} is damaged ({_first_line(error)}); {_remedy(table)}") from error


def metadata_of(table: Table, data: bytes, *, key: str, field: str) -> str | None:
    """One entry of what `to_parquet` wrote into the file's metadata."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        metadata = pq.ParquetFile(pa.BufferReader(data)).schema_arrow.metadata or {}
    except (pa.ArrowException, OSError, ValueError) as error:
        raise LedgerError(f"{key} is damaged ({_first_line(error)}); {_remedy(table)}") from error
    value = metadata.get(f"dml_study.{field}".encode())
    return None if value is None else value.decode()


def _check_version(table: Table, schema: "pa.Schema", key: str) -> None:
    metadata = schema.metadata or {}
    found = metadata.get(b"dml_study.schema_version", b"none").decode()
    unknown = [name for name in schema.names if name not in COLUMNS[table]]
    if found != str(SCHEMA_VERSION) or unknown:
        writer = metadata.get(b"dml_study.dml_study_version", b"an unknown version").decode()
        extra = f" and the columns {', '.join(unknown)}" if unknown else ""
        raise LedgerError(
            f"{key} has schema version {found}{extra}, this program knows version {SCHEMA_VERSION}; "
            f"it was written by dml-study {writer}: use that version"
        )


def _aligned(table: Table, content: "pa.Table", wanted: Sequence[str]) -> "pa.Table":
    import pyarrow as pa

    fields = [arrow_schema(table).field(name) for name in wanted]
    present = set(content.column_names)
    columns = [
        content.column(field.name).cast(field.type) if field.name in present else pa.nulls(len(content), field.type)
        for field in fields
    ]
    return pa.Table.from_arrays(columns, schema=pa.schema(fields))


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].strip()


def _remedy(table: Table) -> str:
    if table == "runs":
        return "delete it: its runs become due again"
    if table == "evaluations":
        return "delete it: `dml-study evaluate` computes its metrics again"
    return "delete it: its runs keep their results without these rows (delete their files in runs/ to train them again)"
