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


def add_config(runs: "pd.DataFrame") -> "pd.DataFrame":
    """Runs with every scalar of their configuration as a dotted column: "synthesis.ratio", "training.epochs".

    Columns that stand already (seed, fold, embedding_dim, ...) are left as they are.
    """
    import pandas as pd

    flat = [_scalars(json.loads(text)) if isinstance(text, str) else {} for text in runs["config"]]
    keys = _ordered_union(flat)
    taken = set(runs.columns)
    columns = {key: [row.get(key) for row in flat] for key in keys if key not in taken}
    return pd.concat([runs, pd.DataFrame(columns, index=runs.index)], axis=1)


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
