"""The untrained embedding: the backbone's pooled features as they come, measured on the test classes."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from trainables.config import RunConfig
from trainables.model import autocast
from trainables.strategies.base import Artifacts, EpochRow, Outcome, no_artifacts
from trainables.strategies.plain import test_class_names
from trainables.training.data import RunData
from trainables.training.deformed import deformed_metrics
from trainables.training.measure import class_rows, measure

_CHUNK = 256


class Untrained:
    """One evaluation and no training; the row that shows what training adds."""

    def __init__(
        self, run: RunConfig, data: RunData, all_classes: RunData, *, artifacts: Artifacts = no_artifacts
    ) -> None:
        self.run, self.data = run, data
        self.finished = False
        self.epochs_done = 0
        self.epochs_planned = 0

    def epoch(self) -> EpochRow:
        self.finished = True
        return {}

    def outcome(self) -> Outcome:
        if self.run.protocol.test == "never":
            return Outcome(selected_epoch=None, validation={}, test={})
        split = self.data.split
        network = self._network()
        features = self._features(network, split.test)
        report = measure(self.run, self.data, features, "test")
        return Outcome(
            selected_epoch=None,
            validation={},
            test=report.metrics,
            classes=class_rows(report, test_class_names(self.data)),
            test_embeddings=features.cpu(),
            extra=deformed_metrics(self.run, self.data, network, report.metrics, layout="contiguous"),
        )

    def _network(self) -> nn.Module:
        if self.data.cached_features:
            return nn.Identity()
        from trainables.backbones.build import build_backbone

        channels = self.data.images.images.shape[1]
        return build_backbone(self.run.backbone, channels=channels, seed=self.run.seed).to(self.data.device).eval()

    @torch.inference_mode()
    def _features(self, network: nn.Module, positions: np.ndarray) -> Tensor:
        chunks = [positions[start : start + _CHUNK] for start in range(0, len(positions), _CHUNK)]
        with autocast(self.run):
            return torch.cat([network(self.data.evaluation_batch(chunk)) for chunk in chunks])

    def state_dict(self) -> dict[str, Any]:
        return {"finished": self.finished}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.finished = state["finished"]
