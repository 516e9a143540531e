"""What a run keeps beside its rows, and its kept weights as a network again."""

import io
import zipfile
from collections.abc import Iterator

from pydantic import ValidationError
from torch import Tensor

from trainables.config import RunConfig
from trainables.errors import DataError
from trainables.ledger.names import embeddings_key, weights_key
from trainables.model import EmbeddingModel, build_model
from trainables.strategies.base import Outcome
from trainables.training import checkpoint

KEEP_REMEDY = "invalidate that run and train it again with keep.weights: selected"


def kept(run: RunConfig, run_id: str, outcome: Outcome) -> Iterator[tuple[str, bytes]]:
    """Names and contents of the objects that a finished run leaves, as its `keep` says."""
    if run.keep.weights == "selected" and outcome.weights:
        content = {**outcome.weights, "config": run.model_dump_json()}
        yield weights_key(run_id), checkpoint.to_bytes(content, [])
    if run.keep.embeddings == "test" and outcome.test_embeddings is not None:
        content = {"embeddings": outcome.test_embeddings, "validation": outcome.validation}
        yield embeddings_key(run_id), checkpoint.to_bytes(content, [])


def kept_content(payload: bytes, *, place: str) -> tuple[RunConfig, dict[str, Tensor]]:
    """The configuration and the network's weights in an object `artifacts/<run_id>/weights.pt`.

    Args:
        place: where it comes from, for messages.

    Raises:
        DataError: the bytes are damaged, or no weights that a run kept.
    """
    try:
        content, _ = checkpoint.from_bytes(payload)
        _require_checksums(payload)
    except ValueError as error:
        raise DataError(f"{place}: damaged or foreign bytes ({error}); {KEEP_REMEDY}") from error
    if not (isinstance(content.get("config"), str) and isinstance(content.get("model"), dict)):
        raise DataError(f"{place}: no kept weights with their configuration, but {sorted(content)}; {KEEP_REMEDY}")
    try:
        return RunConfig.model_validate_json(content["config"]), content["model"]
    except ValidationError as error:
        raise DataError(f"{place}: its configuration is none of this version or its plugins: {error}") from error


def kept_network(
    run: RunConfig, weights: dict[str, Tensor], *, channels: int, feature_dim: int | None = None
) -> EmbeddingModel:
    """The network of a run with its kept weights; what a run on cached features keeps is its head alone.

    Args:
        channels: of the images.
        feature_dim: width of cached features; the backbone is left out then.

    Raises:
        RuntimeError: torch's complaint about keys and shapes.
        DataError: the weights file of a frozen backbone is missing, or not the one that the run was planned with.
    """
    trained = run.backbone.trainable
    model = build_model(_without_file(run) if trained else run, channels=channels, feature_dim=feature_dim)
    part, prefix = (model, "") if trained else (model.head, "head.")
    part.load_state_dict({key.removeprefix(prefix): value for key, value in weights.items()})
    return model


def _without_file(run: RunConfig) -> RunConfig:
    """The same run from random weights: those of a file would be replaced, and it may be absent here."""
    return run.model_copy(update={"backbone": run.backbone.model_copy(update={"weights": None})})


def _require_checksums(payload: bytes) -> None:
    """torch reads a file with a flipped bit as if nothing were wrong; the archive that it is knows better."""
    try:
        damaged = zipfile.ZipFile(io.BytesIO(payload)).testzip()
    except zipfile.BadZipFile as error:
        raise ValueError(str(error)) from error
    if damaged is not None:
        raise ValueError(f"{damaged} has another checksum")
