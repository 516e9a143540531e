"""Embedding transfer: a student network learns the relations among a frozen teacher's embeddings of the same images."""

from collections.abc import Callable
from typing import ClassVar

import numpy as np
from torch import Tensor

from trainables.config import RunConfig
from trainables.devices import sent
from trainables.geometry import unit
from trainables.losses.config import LossConfig
from trainables.losses.transfer import pkt, relaxed_contrastive, relaxed_multi_similarity, rkd
from trainables.step import Step
from trainables.strategies.base import Artifacts, no_artifacts
from trainables.strategies.plain import Plain
from trainables.strategies.teacher import Teacher, kept_weights, load_teacher
from trainables.strategies.transfer_config import Transfer as TransferConfig
from trainables.synthesis.config import NoSynthesis
from trainables.training.data import RunData
from trainables.training.fit import Fit

_LOSSES: dict[str, Callable[..., Tensor]] = {
    "relaxed_contrastive": relaxed_contrastive,
    "relaxed_multi_similarity": relaxed_multi_similarity,
    "rkd": rkd,
    "pkt": pkt,
}


class Transfer(Plain):
    """The plain strategy with the teacher's relations in the place of class labels.

    The teacher is no part of the state: every start reads it again from the run that kept it. The student starts from
    its backbone's own weights, never from the teacher's.

    Source: Kim et al., "Embedding Transfer with Label Relaxation for Improved Metric Learning", CVPR 2021.
    """

    def __init__(
        self, run: RunConfig, data: RunData, all_classes: RunData, *, artifacts: Artifacts = no_artifacts
    ) -> None:
        """As for the plain strategy.

        Raises:
            ConfigError: the teacher cannot teach this student, or the run was never planned.
            DataError: there are no weights of the teacher, or unusable ones.
        """
        self.config = _config(run)
        self.teacher = self._load_teacher(run, data, artifacts)
        super().__init__(run, data, all_classes, artifacts=artifacts)

    def _load_teacher(self, run: RunConfig, data: RunData, artifacts: Artifacts) -> Teacher | None:
        if self.config.parent is None:
            return None
        payload, place = kept_weights(self.config.parent, artifacts)
        return load_teacher(payload, place=place, student=run, data=data)

    def _new_fit(self, data: RunData, *, epochs: int) -> Fit:
        return TransferFit(self.run, data, epochs=epochs, teacher=self.teacher)


class TransferFit(Fit):
    """A fit without classes: its loss compares the student's embeddings with the teacher's."""

    def __init__(self, run: RunConfig, data: RunData, *, epochs: int, teacher: Teacher | None) -> None:
        super().__init__(run.model_copy(update={"loss": _NoClasses(), "synthesis": NoSynthesis()}), data, epochs=epochs)
        self.config, self.teacher = _config(run), teacher

    def training_inputs(self, batch: np.ndarray, step: Step) -> Tensor:
        """All images of the batch in a first augmentation, then, with two views, all in a second."""
        return super().training_inputs(np.tile(batch, self.config.views), step)

    def objective(self, inputs: Tensor, embeddings: Tensor, labels: Tensor, step: Step) -> Tensor:
        expected = None if self.teacher is None else self.teacher.embed(inputs, self.run)
        classes = sent(labels.repeat(self.config.views), embeddings.device)
        return transfer_loss(self.config, embeddings, expected, classes)


class _NoClasses(LossConfig):
    """Stands where other runs have their base loss: nothing of it is learned, and it is never called."""

    name: str = "none"
    has_proxies: ClassVar[bool] = False
    implementation: ClassVar[str] = "trainables.losses.transfer:relaxed_contrastive"


def transfer_loss(config: TransferConfig, embeddings: Tensor, teacher: Tensor | None, labels: Tensor) -> Tensor:
    """The loss that a configuration names.

    Args:
        embeddings: the student's [B, D], raw.
        teacher: [B, Dt], raw; None where class labels stand in for it.
        labels: [B], looked at in that case alone.
    """
    arguments = {**config.arguments(), **({"labels": labels} if config.uses_labels else {})}
    student = unit(embeddings) if config.student_normalize == "unit" else embeddings
    if teacher is not None and config.teacher_normalize == "unit":
        teacher = unit(teacher)
    return _LOSSES[config.loss](student, teacher, **arguments)


def _config(run: RunConfig) -> TransferConfig:
    if not isinstance(run.strategy, TransferConfig):
        raise TypeError(f"strategy '{run.strategy.name}' is not 'transfer'")
    return run.strategy.simplified()
