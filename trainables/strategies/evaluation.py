"""Strategies that train nothing: one evaluation of test embeddings that come from elsewhere."""

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor, nn

from trainables.config import RunConfig
from trainables.strategies.base import Artifacts, EpochRow, Outcome, no_artifacts
from trainables.strategies.plain import test_class_names
from trainables.training.data import RunData
from trainables.training.deformed import deformed_metrics
from trainables.training.measure import class_rows, measure


class Evaluation(ABC):
    """One evaluation and no epoch."""

    def __init__(
        self, run: RunConfig, data: RunData, all_classes: RunData, *, artifacts: Artifacts = no_artifacts
    ) -> None:
        self.run, self.data, self.artifacts = run, data, artifacts
        self.finished = False
        self.epochs_done = 0
        self.epochs_planned = 0

    @abstractmethod
    def test_embeddings(self) -> Tensor:
        """Raw embeddings of the test images [N, D], on the run's device."""

    def validation(self) -> dict[str, float]:
        """Metrics on validation classes, where the embeddings' origin has them."""
        return {}

    def network(self) -> nn.Module | None:
        """What embeds deformed test images; None where there is no one network."""
        return None

    def epoch(self) -> EpochRow:
        self.finished = True
        return {}

    def outcome(self) -> Outcome:
        if self.run.protocol.test == "never":
            return Outcome(selected_epoch=None, validation={}, test={})
        embeddings = self.test_embeddings()
        report = measure(self.run, self.data, embeddings, "test")
        network = self.network()
        deformed = {}
        if network is not None:
            deformed = deformed_metrics(self.run, self.data, network, report.metrics, layout="contiguous")
        return Outcome(
            selected_epoch=None,
            validation=self.validation(),
            test=report.metrics,
            classes=class_rows(report, test_class_names(self.data)),
            test_embeddings=embeddings.cpu(),
            extra=deformed,
        )

    def state_dict(self) -> dict[str, Any]:
        return {"finished": self.finished}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.finished = state["finished"]
