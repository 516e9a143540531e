"""A complete run of a ledger, with what it kept."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from trainables.config import RunConfig
from trainables.errors import DataError
from trainables.ledger import Ledger
from trainables.ledger.names import embeddings_key, weights_key
from trainables.ledger.places import keyed
from trainables.model import EmbeddingModel
from trainables.training import checkpoint
from trainables.training.kept import KEEP_REMEDY, kept_content, kept_network

_METRICS = ("val_", "test_", "best_test_")


@dataclass(frozen=True)
class KeptRun:
    """A complete run.

    Attributes:
        row: of table `runs`.
        config: what it was trained with.
    """

    ledger: Ledger
    run_id: str
    row: Mapping[str, Any]
    config: RunConfig

    @property
    def metrics(self) -> dict[str, float]:
        """All that its row has of validation and test classes, by name."""
        values = {**{key: self.row[key] for key in self.row if key != "extra"}, **dict(self.row["extra"] or [])}
        return {
            key: float(value) for key, value in sorted(values.items()) if key.startswith(_METRICS) and value is not None
        }

    def network(self, *, channels: int, feature_dim: int | None = None) -> EmbeddingModel:
        """The network of its selected epoch; see `kept_network`.

        Raises:
            DataError: it kept no weights, they are damaged or another run's, or its backbone's file is missing.
        """
        config, weights = self.weights()
        try:
            return kept_network(config, weights, channels=channels, feature_dim=feature_dim)
        except RuntimeError as error:  # torch's complaint about keys and shapes
            place = keyed(self.ledger.location, weights_key(self.run_id))
            raise DataError(f"{place} does not fit a network for these images: {error}") from error

    def weights(self) -> tuple[RunConfig, dict[str, Tensor]]:
        """The configuration and the weights that it kept.

        Raises:
            DataError: as of `network`.
        """
        key = weights_key(self.run_id)
        if not self.config.strategy.trains:
            raise DataError(
                f"run {self.run_id} trained nothing (strategy '{self.config.strategy.name}'): it has no weights; "
                "name a run of a method that trains"
            )
        if not self.ledger.exists(key):
            raise DataError(
                f"run {self.run_id} in {self.ledger.location} kept no weights: add `keep: {{weights: selected}}` to "
                "its spec, take the run out with `dml-study invalidate`, and `dml-study run` trains it again"
            )
        place = keyed(self.ledger.location, key)
        config, weights = kept_content(self.ledger.get(key), place=place)
        if config.identity() != self.config.identity():
            raise DataError(f"{place} has the weights of another run; {KEEP_REMEDY}")
        return config, weights

    def synthesis_parts(self) -> dict[str, Any]:
        """What its synthesis kept beside the weights, for pictures; empty where it has nothing to keep.

        Raises:
            DataError: as of `weights`.
        """
        self.weights()
        content, _ = checkpoint.from_bytes(self.ledger.get(weights_key(self.run_id)))
        found: dict[str, Any] = content.get("synthesis", {})
        return found

    def test_embeddings(self) -> Tensor | None:
        """Raw embeddings [N, D] of the test images at its selected epoch, where it kept them.

        Raises:
            DataError: the object is damaged.
        """
        key = embeddings_key(self.run_id)
        if not self.ledger.exists(key):
            return None
        try:
            content, _ = checkpoint.from_bytes(self.ledger.get(key))
            embeddings: Tensor = content["embeddings"]
        except (ValueError, KeyError) as error:
            place = keyed(self.ledger.location, key)
            raise DataError(f"{place} cannot be read ({error}); delete it: the weights are used instead") from error
        return embeddings


def kept_run(ledger: Ledger, run_id: str) -> KeptRun:
    """
    Raises:
        DataError: the run is not complete.
    """
    commit = ledger.commits().get(run_id)
    if commit is None or commit.status != "complete":
        state = commit.status if commit else "not committed"
        raise DataError(f"run {run_id} of {ledger.location} is {state}: only a complete run can be exported")
    (row,) = ledger.read("runs", run_ids=[run_id]).to_pylist()
    return KeptRun(ledger, run_id, row, RunConfig.model_validate_json(row["config"]))
