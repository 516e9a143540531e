"""Metrics that runs got after they were trained, as columns beside their own."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from analysis.loading.widening import frame
from trainables.ledger import Ledger, evaluations

if TYPE_CHECKING:
    import pandas as pd


def add_evaluations(runs: "pd.DataFrame", ledgers: Mapping[str, Ledger]) -> "pd.DataFrame":
    """Runs with the metrics of `dml-study evaluate`; what a run recorded itself stays.

    Args:
        runs: committed runs, with `study`, `run_id` and `attempt`.
        ledgers: of each study.
    """
    import pandas as pd

    found = {study: frame(evaluations.read(ledger)) for study, ledger in ledgers.items() if evaluations.exist(ledger)}
    if not found:
        return runs
    rows = pd.concat([rows.assign(study=study) for study, rows in found.items()], ignore_index=True)
    key = ["study", "run_id", "attempt"]
    facts = [name for name in rows.columns if not name.startswith("test_") and name not in key]
    metrics = rows.drop(columns=facts).groupby(key).first()  # of equal ones the oldest, and no empty ones
    added = runs[key].join(metrics, on=key).drop(columns=key)
    filled = {str(name): runs[name].fillna(added[name]) if name in runs else added[name] for name in added}
    return runs.assign(**filled)
