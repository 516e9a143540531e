"""Published values of single runs as a study that tables read, and whether they give the published means."""

import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.loading import Results, Source
from analysis.metrics import describe
from analysis.publications import choose, published_values
from trainables.ledger import Ledger
from trainables.ledger.names import Table
from trainables.ledger.tables import Row, to_table

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_ROUNDING = 0.005
"""Published values have two decimals."""
_STUDIES = {"ps-readme": "Proxy Synthesis, published runs", "memvir-readme": "MemVir, published runs"}
_METHODS = {"none": "{}", "proxy_synthesis": "{} + PS", "memvir": "{} + MemVir"}


@dataclass(frozen=True)
class RowsLedger:
    """Rows that stand in no folder, read like those of a ledger."""

    runs: Sequence[Row]

    def read(self, table: Table) -> "pa.Table":
        """The runs; the other tables are empty."""
        return to_table(table, self.runs if table == "runs" else ())


def published_runs(source: str = "ps-readme") -> Results:
    """The runs that a README lists as a study: what `load` returns for a results folder.

    Values stand in the columns of epochs chosen on test classes, which is how they were chosen. Every method has seeds
    of its own, since the published values are sorted: differences are Welch's. For the same reason one row's metrics
    are not those of one run. A footnote names the published numbers that do not follow from the values.

    Args:
        source: "ps-readme" (Cars-196, 8 runs) or "memvir-readme" (5 runs).

    Raises:
        DmlStudyError: there is no such source.
    """
    choose({"source": [source]})
    rows, plan = _study(source)
    return Results((Source(plan["study"], RowsLedger(rows), plan),))


def write_published_runs(folder: str | Path, source: str = "ps-readme") -> Path:
    """The same as a results folder, for any command: `dml-study table FOLDER`."""
    choose({"source": [source]})
    rows, plan = _study(source)
    ledger = Ledger.open(folder, create=True)
    for row in rows:
        ledger.commit(row)
    ledger.write_plan(plan)
    return Path(folder)


def check_published_runs(source: str = "ps-readme") -> "pd.DataFrame":
    """Published means and standard deviations beside those of the listed values, in percent.

    Standard deviations are those of samples (ddof = 1): MemVir's README rounds them to two decimals, that of Proxy
    Synthesis cuts them off. `agrees` allows for rounded values and results: a mean may be off by 0.005 twice, a
    standard deviation by 0.005 and 0.005 sqrt(n / (n - 1)).
    """
    import pandas as pd

    rows = []
    for (method, loss, metric), values in _values(source).items():
        record = choose({"source": [source], "method": [method], "base_loss": [loss], "metric": [metric]})[0]
        mean, std, n = float(np.mean(values)), float(np.std(values, ddof=1)), len(values)
        told = float(record["mean"]), float(record["std"])
        near = abs(mean - told[0]) <= 2 * _ROUNDING + 1e-9
        near &= abs(std - told[1]) <= _ROUNDING * (1 + math.sqrt(n / (n - 1))) + 1e-9
        rows.append((method, loss, metric, n, mean, std, *told, near))
    names = ["method", "base_loss", "metric", "n", "mean", "std", "published_mean", "published_std", "agrees"]
    return pd.DataFrame(rows, columns=names)


def _values(source: str) -> dict[tuple[str, str, str], list[float]]:
    found: dict[tuple[str, str, str], list[float]] = {}
    for record in published_values():
        if record["source"] == source:
            key = (record["method"], record["base_loss"], record["metric"])
            found.setdefault(key, []).append(float(record["value"]))
    return found


def _study(source: str) -> tuple[list[Row], dict[str, Any]]:
    """Rows of table `runs`, and the plan."""
    values = _values(source)
    pairs = sorted({(loss, method) for method, loss, _ in values}, key=lambda pair: (pair[0], pair[1] != "none"))
    facts = choose({"source": [source]})[0]
    rows: list[Row] = []
    cells: list[dict[str, Any]] = []
    for index, (loss, method) in enumerate(pairs):
        columns = {metric: each for (a, b, metric), each in values.items() if (a, b) == (method, loss)}
        replicates = [
            {"seed": 100 * index + rank, "fold": 0, "run_id": _run_id(source, method, loss, rank)}
            for rank in range(len(next(iter(columns.values()))))
        ]
        rows += (_row(each, columns, rank, facts, (loss, method)) for rank, each in enumerate(replicates))
        baseline = next((i for i, cell in enumerate(cells) if method != "none" and cell["loss"] == loss), None)
        name = _METHODS[method].format(loss)
        cells.append({"method": name, "loss": loss, "baseline": baseline, "replicates": replicates})
    axes = {"dataset": facts["dataset"]}
    plan = {
        "study": _STUDIES[source],
        "axes": ["dataset"],
        "methods": [{"name": cell["method"], "baseline": _name(cells, cell["baseline"])} for cell in cells],
        "claims": [],
        "protocol": {"select_by": "map_at_r"},
        "notes": [f"Published: {facts['citation']}, {facts['place']}; {facts['remark']}.", *_disagreements(source)],
        "cells": [{**{key: cell[key] for key in ("method", "baseline", "replicates")}, "axes": axes} for cell in cells],
    }
    return rows, plan


def _name(cells: Sequence[dict[str, Any]], index: int | None) -> str | None:
    return None if index is None else str(cells[index]["method"])


def _run_id(*scope: Any) -> str:
    return hashlib.sha256(json.dumps(scope).encode()).hexdigest()[:16]


def _row(
    replicate: dict[str, Any], columns: dict[str, list[float]], rank: int, facts: dict[str, str], pair: tuple[str, str]
) -> Row:
    synthesis = "none" if pair[1] == "none" else pair[1]
    network = {"backbone": {"name": facts["backbone"]}, "embedding_dim": int(facts["embedding_dim"])}
    return {
        **replicate,
        "attempt": "0001_01",
        "status": "complete",
        "study": _STUDIES[facts["source"]],
        "dataset": facts["dataset"],
        "backbone": facts["backbone"],
        "embedding_dim": network["embedding_dim"],
        "loss": pair[0],
        "synthesis": synthesis,
        "strategy": "plain",
        "origin": f"{facts['citation']}, {facts['place']}",
        "config": json.dumps({**network, "loss": {"name": pair[0]}, "synthesis": {"name": synthesis}}),
        **{f"best_test_{metric}": round(values[rank] / 100, 6) for metric, values in columns.items()},
    }


def _disagreements(source: str) -> Iterable[str]:
    found = check_published_runs(source)
    for row in found[~found["agrees"]].itertuples(index=False):
        label, name = describe(f"test_{row.metric}").label, _METHODS[str(row.method)].format(row.base_loss)
        yield (
            f"Does not match its own runs: {label} of {name} is published as {row.published_mean:.2f} ± "
            f"{row.published_std:.2f}; its {row.n} values give {row.mean:.2f} ± {row.std:.2f}."
        )
