"""How far a study's own rows are from published ones of the same loss and method."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from math import isfinite
from typing import TYPE_CHECKING, Protocol

from analysis.cells import CellKey
from analysis.labels import enumeration
from analysis.loading import Results
from analysis.publications import Record
from analysis.statistics import compare_summaries, known_summary
from analysis.tables.formats.layout import delta_texts
from analysis.tables.model import Cell, Table

if TYPE_CHECKING:
    import pandas as pd


class Published(Protocol):
    """A row of quoted numbers."""

    @property
    def records(self) -> Mapping[int, Record]:
        """By column of the table."""

    @property
    def name(self) -> str:
        """As the table has it."""


def reproduced(table: Table, results: Results, rows: Sequence[Published]) -> list[str]:
    """A sentence on differences, or none where no row of the study has a published counterpart."""
    texts = list(_texts(table, _configured(results), rows))
    if not texts:
        return []
    return [f"Trained here less published (p by Welch's test where the protocols match): {enumeration(texts)}."]


def _texts(table: Table, runs: "Mapping[CellKey | None, pd.Series]", rows: Sequence[Published]) -> Iterator[str]:
    """ "base − norm_softmax †1: cars196 Recall@1 −1.20, cars196 MAP@R +0.10" for every pair of rows."""
    for row, each in product(table.rows, rows):
        found = [
            _difference(cell, each.records[index], runs[cell.key])
            for index, cell in enumerate(row.cells)
            if index in each.records and cell.key in runs and cell.summary.n
            if _identity(runs[cell.key]) == (each.records[index]["base_loss"], each.records[index]["method"])
        ]
        if found:
            yield f"{' '.join(filter(None, row.labels))} − {each.name}: {', '.join(found)}"


def _difference(cell: Cell, record: Record, run: "pd.Series") -> str:
    told = known_summary(int(record["runs"] or 0), float(record["mean"]), float(record["std"] or "nan"))
    found = compare_summaries(cell.summary, told)
    text = f"{cell.dataset} {cell.metric.label} {delta_texts(found, cell.metric.decimals)[0].rstrip('‡')}"
    tested = _match(cell, record, run) and isfinite(found.p_value)
    return f"{text} (p = {found.p_value:.2g})" if tested else text


def _match(cell: Cell, record: Record, run: "pd.Series") -> bool:
    """Whether numbers were made alike: network, all classes for training, and the epoch chosen on test classes.

    Published rows of other selections average or join models of folds, which no row of one model is comparable to.
    """
    network = (record["backbone"], record["embedding_dim"]) == (run["backbone"], f"{run['embedding_dim']:.0f}")
    network &= record["dataset"] == run.get("dataset.name")
    all_classes = run.get("protocol.selection") == "last" or bool(run.get("protocol.refit"))
    return network and all_classes and record["selection"] == "best_test" and cell.metric.selected_on_test


def _identity(run: "pd.Series") -> tuple[str, str]:
    """Loss and method in the words of published numbers."""
    strategy, synthesis = str(run["strategy"]), str(run["synthesis"])
    return str(run["loss"]), synthesis if strategy in ("plain", "nan", "None") else strategy


def _configured(results: Results) -> "dict[CellKey | None, pd.Series]":
    """The first finished run of every cell."""
    planned = results.replicates[["study", "cell", "run_id", "status"]]
    done = planned[planned["status"] == "complete"].drop_duplicates(["study", "cell"])
    rows = done.merge(results.runs.drop(columns=["status"]), on=["study", "run_id"])
    return {(str(row["study"]), int(row["cell"])): row for _, row in rows.iterrows()}
