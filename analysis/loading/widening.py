"""From stored columns to wide ones: maps of metrics and JSON configurations become a column per key."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


def frame(table: "pa.Table") -> "pd.DataFrame":
    """A ledger table as a data frame in which every key of `extra` is a column."""
    import pandas as pd
    import pyarrow.compute as pc

    wide = table.drop_columns(["extra"])
    extra = table["extra"].combine_chunks()
    for key in sorted(set(_keys(extra)) - set(wide.column_names)):
        wide = wide.append_column(key, pc.map_lookup(extra, key, "first"))
    return pd.DataFrame(wide.to_pandas())


def _keys(extra: "pa.MapArray") -> list[str]:
    import pyarrow.compute as pc

    chunks = extra.chunks if hasattr(extra, "chunks") else [extra]
    return [key for chunk in chunks for key in pc.unique(chunk.keys).to_pylist()]


def rows_of(frame: "pd.DataFrame", *columns: str) -> Iterator[tuple[Any, ...]]:
    """Rows as tuples of plain values; several times faster than to iterate over columns of strings."""
    return zip(*(frame[column].tolist() for column in columns), strict=True)


def add_config(runs: "pd.DataFrame") -> "pd.DataFrame":
    """Runs with every scalar of their configuration as a dotted column: "synthesis.ratio", "training.epochs".

    Columns that stand already (seed, fold, embedding_dim, ...) are left as they are.
    """
    import pandas as pd

    texts = runs["config"].where(runs["config"].notna(), "{}")
    codes, distinct = pd.factorize(pd.Series(map(without_replicate, texts.tolist()), dtype=object))
    flat = [_scalars(json.loads(text)) for text in distinct]
    columns = {key: [row.get(key) for row in flat] for key in _ordered_union(flat) if key not in set(runs.columns)}
    widened = pd.DataFrame(columns, index=range(len(flat))).take(codes).set_index(runs.index)
    return pd.concat([runs, widened], axis=1)


def without_replicate(config: str) -> str:
    """A configuration as JSON whose seed and fold are 0: the runs of a cell share it, and one is parsed for all.

    Where a part has a seed of its own, all of them stay. Much faster than a regular expression.
    """
    for key in ('"seed":', '"fold":'):
        before, found, after = config.partition(key)
        if found and key not in after:
            config = f"{before}{key}0{after.lstrip(_NUMBER)}"
    return config


_NUMBER = " 0123456789nul"


def _ordered_union(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    keys: dict[str, None] = {}
    for row in rows:
        keys.update(dict.fromkeys(row))
    return list(keys)


def _scalars(config: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in leaves(config) if not isinstance(value, list)}


def leaves(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Values of a nested configuration with their dotted keys."""
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value
