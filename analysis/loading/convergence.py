"""What it took to get to the epoch that was selected, from the rows of runs alone."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def add_convergence(runs: "pd.DataFrame") -> "pd.DataFrame":
    """Runs with `selected_steps` of the optimizer and `selected_seconds` of training, up to the selected epoch.

    All epochs of a run have the same number of steps. Runs that were trained once more on all classes (`refit`) have
    neither: their rows count the steps of both trainings together.
    """
    once = ~runs["config"].str.contains('"refit": true', regex=False).fillna(False).astype(bool)
    share = (runs["selected_epoch"] / runs["epochs_trained"]).where(once & (runs["epochs_trained"] > 0))
    return runs.assign(selected_steps=share * runs["steps"], selected_seconds=share * runs["train_seconds"])
