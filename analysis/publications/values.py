"""Published numbers, chosen by their facts, with what is known of their sources."""

import csv
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from trainables.errors import DmlStudyError
from trainables.spelling import nearest

if TYPE_CHECKING:
    import pandas as pd

FILTERS = ("method", "base_loss", "dataset", "backbone", "embedding_dim", "setting", "metric", "source", "selection")
"""What published numbers are chosen by."""
SELECTIONS = {
    "best_test": "best epoch on the test classes",
    "validation": "epoch chosen on validation classes",
    "": "selection of the epoch not stated",
}
Wanted = str | int | Sequence[str | int] | None
Record = dict[str, str]


def published(
    *,
    method: Wanted = None,
    base_loss: Wanted = None,
    dataset: Wanted = None,
    backbone: Wanted = None,
    embedding_dim: Wanted = None,
    setting: Wanted = None,
    metric: Wanted = None,
    source: Wanted = None,
    selection: Wanted = None,
) -> "pd.DataFrame":
    """Results of Proxy Synthesis, MemVir, Proxy Anchor, CCP and embedding transfer as their papers print them.

    Args:
        method: "none" for the loss alone, "proxy_synthesis", "memvir", "ccp", ...; like every argument a value, or
            several of which one has to fit.
        setting: what tells rows of one method apart ("self_transfer", "L").
        source: key of a source: "ps-readme", "ps-table6", ...
        selection: "best_test" or "validation": how the epoch was chosen.

    Returns:
        One row per number. `mean` and `std` are fractions, as in the ledger (steps of training are counts). `std`,
        `runs` and `embedding_dim` are NaN and texts empty where the source does not say. `citation`, `place`,
        `selection`, `readout`, `kind` (printed, digitised from a chart, quoted by somebody else) and `remark` tell the
        source.

    Raises:
        DmlStudyError: nothing published has such a value; the message has the nearest spelling.
    """
    import pandas as pd

    values = (method, base_loss, dataset, backbone, embedding_dim, setting, metric, source, selection)
    wanted = dict(zip(FILTERS, values, strict=True))
    chosen = choose({key: _texts(values) for key, values in wanted.items() if values is not None})
    frame = pd.DataFrame(chosen, columns=[*_records("results")[0], *list(_records("sources")[0])[1:]])
    for column in ("mean", "std", "runs", "embedding_dim"):
        frame[column] = pd.to_numeric(frame[column], errors="coerce")
    scores = frame["metric"] != "train_steps"
    frame.loc[scores, ["mean", "std"]] = (frame.loc[scores, ["mean", "std"]] / 100).round(6)
    return frame.reset_index(drop=True)


def choose(wanted: dict[str, list[str]]) -> list[Record]:
    """The records of every filter's values, as texts and in percent, with what is known of their sources.

    Raises:
        DmlStudyError: an unknown key or value.
    """
    records = _joined()
    for key, values in wanted.items():
        if key not in FILTERS:
            raise DmlStudyError(f"published numbers: unknown filter '{key}'; {nearest(key, list(FILTERS))}")
        known = list(dict.fromkeys(record[key] for record in _joined()))
        for value in values:
            if value not in known:
                raise DmlStudyError(f"no published number has {key} '{value}'; {nearest(value, known)}")
        records = [record for record in records if record[key] in values]
    return records


def parse_filters(texts: Sequence[str]) -> dict[str, list[str]]:
    """Filters of ["dataset=cars196", "metric=map_at_r", "metric=recall_at_1"]; "all" is none.

    Raises:
        DmlStudyError: not of this form.
    """
    found: dict[str, list[str]] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals and text != "all":
            raise DmlStudyError(f"filter '{text}' of published numbers: write KEY=VALUE, dataset=cars196, or all")
        if equals:
            found.setdefault(key.strip(), []).append(value.strip())
    return found


def published_values() -> list[Record]:
    """The values of single runs that READMEs list: method, base_loss, dataset, metric, rank, value (percent), source.

    Each metric is sorted by itself: equal ranks are not equal runs, and nothing can be paired.
    """
    return [dict(record) for record in _records("runs")]


@cache
def _joined() -> list[Record]:
    sources = {record["source"]: record for record in _records("sources")}
    return [{**record, **sources[record["source"]]} for record in _records("results")]


@cache
def _records(name: str) -> list[Record]:
    text = (files("analysis.publications") / f"{name}.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def _texts(values: Wanted) -> list[str]:
    return [str(value) for value in ([values] if isinstance(values, str | int) else values or ())]
