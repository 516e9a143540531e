"""Frozen teachers: the kept weights of a finished run, as a network that embeds what its student sees."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from trainables.config import RunConfig
from trainables.errors import ConfigError, DataError
from trainables.ledger import Ledger, MissingKeyError
from trainables.ledger.names import weights_key
from trainables.model import EmbeddingModel, autocast
from trainables.strategies.base import Artifacts
from trainables.strategies.config import Parent
from trainables.strategies.transfer_config import refused_teacher
from trainables.training.data import RunData
from trainables.training.kept import KEEP_REMEDY, kept_content, kept_network


@dataclass(frozen=True)
class Teacher:
    """A network in evaluation mode that nothing changes any more, and the run that trained it."""

    model: EmbeddingModel
    run: RunConfig

    @torch.no_grad()
    def embed(self, inputs: Tensor, student: RunConfig) -> Tensor:
        """Raw embeddings [B, Dt] of the student's inputs, in the student's precision."""
        with autocast(student):
            embeddings: Tensor = self.model(inputs)
        return embeddings


def kept_weights(parent: Parent, artifacts: Artifacts) -> tuple[bytes, str]:
    """The kept weights that a configuration names, and how to call them in messages.

    Args:
        parent: as a plan gives it: a method with its run, a run, or a file with its revision.
        artifacts: reads the results folder of the student's own study.

    Raises:
        ConfigError: the configuration was never planned.
        DataError: there are no such weights, or the file is not the one that was planned with.
    """
    if parent.weights:
        return _file(parent), f"weights file {parent.weights}"
    if not parent.run:
        raise ConfigError(f"the teacher is method '{parent.method}', and no run of it is named: take it from a plan")
    place = f"teacher run {parent.run} in {parent.results or 'the results folder of this study'}"
    read = Ledger.open(parent.results).get if parent.results else artifacts
    try:
        return read(weights_key(parent.run)), place
    except MissingKeyError as error:
        raise DataError(f"{place} kept no weights ({error}): {KEEP_REMEDY}") from error


def _file(parent: Parent) -> bytes:
    if not parent.weights_revision:
        raise ConfigError(f"weights file {parent.weights} of the teacher has no revision: take the run from a plan")
    try:
        payload = Path(parent.weights).expanduser().read_bytes()
    except OSError as error:
        raise DataError(f"weights file {parent.weights} of the teacher: {error.strerror}; put it back") from error
    revision = hashlib.sha256(payload).hexdigest()[: len(parent.weights_revision)]
    if revision != parent.weights_revision:
        raise DataError(
            f"weights file {parent.weights} of the teacher has the revision {revision}, and the run was planned with "
            f"{parent.weights_revision}: put the old file back, or plan again"
        )
    return payload


def load_teacher(payload: bytes, *, place: str, student: RunConfig, data: RunData) -> Teacher:
    """The network of kept weights on the student's device, for the student's inputs.

    A teacher that was trained on the cached features of a frozen backbone gets that backbone back where its student
    sees images.

    Args:
        payload: an object `artifacts/<run_id>/weights.pt`.
        place: where it comes from, for messages.
        student: the run that learns.
        data: what it learns from.

    Raises:
        ConfigError: this run cannot teach this student.
        DataError: the bytes are damaged, or no weights that a run kept.
    """
    run, weights = kept_content(payload, place=place)
    if refusal := refused_teacher(run, student):
        raise ConfigError(f"{place}: {refusal}")
    try:
        model = kept_network(run, weights, channels=data.images.images.shape[1], feature_dim=data.feature_dim)
    except RuntimeError as error:  # torch's complaint about keys and shapes
        raise DataError(f"{place} does not fit a network for these images: {error}") from error
    if student.training.memory_format == "channels_last":
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Teacher(model.to(data.device).eval().requires_grad_(False), run)
