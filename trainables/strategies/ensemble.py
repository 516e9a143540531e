"""Several models as one embedding: what the fold models of one seed say together."""

from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from trainables.errors import DataError
from trainables.evaluation.scoring import PREPARED
from trainables.geometry import widened
from trainables.ledger import MissingKeyError
from trainables.ledger.names import embeddings_key
from trainables.strategies.ensemble_config import FoldEnsemble as FoldEnsembleConfig
from trainables.strategies.evaluation import Evaluation
from trainables.training import checkpoint

_REMEDY = "delete it, and `dml-study run --retry-failed` trains that model again"


class FoldEnsemble(Evaluation):
    """Each model's test embeddings as the protocol's distance sees them, side by side.

    With `cosine` every model's part has length 1, so that each counts as much as the others: the cosine of the whole is
    the mean of the models' cosines.

    Source: Musgrave et al., "A Metric Learning Reality Check", ECCV 2020, section 3 (concatenated 512-dim); the
    `lipschitz` form is that of Gurbuz et al., "Deep Metric Learning with Chance Constraints", WACV 2024.
    """

    def test_embeddings(self) -> Tensor:
        prepared = PREPARED[self.run.protocol.distance]
        found = [widened(each["embeddings"].to(self.data.device)) for each in self._members]
        return torch.cat([prepared(embeddings) for embeddings in found], dim=1)

    def validation(self) -> dict[str, float]:
        """The models' means: each class that one of them validates on, the others were trained on."""
        found: list[dict[str, float]] = [each["validation"] for each in self._members]
        shared = [key for key in found[0] if all(key in metrics for metrics in found)]  # k may differ between runs
        return {key: sum(metrics[key] for metrics in found) / len(found) for key in shared}

    @cached_property
    def _members(self) -> list[dict[str, Any]]:
        config = self.run.strategy
        if not isinstance(config, FoldEnsembleConfig):
            raise TypeError(f"strategy '{config.name}' is not 'fold_ensemble'")
        return [self._kept(run_id) for run_id in config.members]

    def _kept(self, run_id: str) -> dict[str, Any]:
        key, expected = embeddings_key(run_id), len(self.data.split.test)
        try:
            content, _ = checkpoint.from_bytes(self.artifacts(key))
            found, _ = len(content["embeddings"]), content["validation"]
        except (MissingKeyError, ValueError, KeyError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise DataError(f"{key} cannot be read ({reason}); {_REMEDY}") from error
        if found != expected:
            raise DataError(f"{key} has {found} embeddings for {expected} test images; {_REMEDY}")
        return content
