"""What a strategy offers to the session that carries a run to its rows."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import Tensor

from trainables.errors import DataError

EpochRow = dict[str, Any]
"""Columns of the `epochs` table that the strategy knows."""

Artifacts = Callable[[str], bytes]
"""Reads a key of the run's results folder, such as `artifacts/<run_id>/weights.pt`."""


def no_artifacts(key: str) -> bytes:
    """Where there is no results folder.

    Raises:
        DataError: always.
    """
    raise DataError(f"{key} is needed, and this run has no results folder to read it from")


@dataclass(frozen=True)
class Outcome:
    """What a finished run reports.

    Attributes:
        selected_epoch: from 1; None where nothing was trained.
        validation, test: metrics at the selected epoch, by name; empty where they were not asked for.
        best_test: the best of each test metric over all epochs, a figure that looked at the test classes.
        classes: rows of the `classes` table.
        weights: state dicts of the selected epoch.
        test_embeddings: raw embeddings of the test images [N, D].
        extra: further figures of the run, by the name that they get in its row.
    """

    selected_epoch: int | None
    validation: dict[str, float]
    test: dict[str, float]
    best_test: dict[str, float] = field(default_factory=dict)
    classes: list[dict[str, Any]] = field(default_factory=list)
    weights: dict[str, Any] = field(default_factory=dict)
    test_embeddings: Tensor | None = None
    extra: dict[str, float] = field(default_factory=dict)


class Strategy(Protocol):
    """Trains one run, an epoch at a time; between epochs it can be saved and continued to the same bits."""

    @property
    def finished(self) -> bool:
        """Whether no epoch is left."""

    @property
    def epochs_done(self) -> int:
        """Epochs trained so far, over all phases."""

    @property
    def epochs_planned(self) -> int:
        """Epochs in all, as far as known."""

    def epoch(self) -> EpochRow:
        """Trains the next epoch and evaluates where it is due."""

    def outcome(self) -> Outcome:
        """The result of a finished run."""

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values only, so that it loads without running code."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues where `state_dict` was taken."""
