"""Virtual softmax as a part of a training run."""

from dataclasses import replace

import torch
from torch import Tensor

from trainables.batch import Batch
from trainables.classes import Classes
from trainables.geometry import check_batch, unit, widened
from trainables.step import Step
from trainables.synthesis.base import Synthesis

__all__ = ["VirtualSoftmax"]


class VirtualSoftmax(Synthesis):
    """One more class for every row, in the row's own direction (Chen, Deng and Shen, "Virtual Class Enhanced
    Discriminative Embedding Learning", NeurIPS 2018).

    With z the row's embedding and w_y the weight of its class, the virtual class has the weight |w_y| z / |z|. A plain
    softmax so gets the further logit |w_y| |z|, which is never below that of the target: it goes on pulling where the
    other classes are beaten. On unit vectors with scale s the logit is the constant s, or s (1 + t) in curricularface,
    to which every virtual class is a hard one.

    A virtual class exists for its own row alone (`Batch.excluded`), has no bias, and is no row's target. The
    regularizer of soft_triple, a mean over classes, counts the virtual ones, whose centers coincide: that of the real
    ones weighs C / (C + B) of what it weighs alone.
    """

    def enlarge(self, batch: Batch, step: Step) -> Batch:
        """Adds a class per row: classes C + B, `excluded` [B, C + B]. Of K centers all have the mean length of w_y's.

        Raises:
            ValueError: the loss has no proxies, or shapes and labels do not fit.
        """
        if batch.classes is None:
            raise ValueError("virtual_softmax adds classes to proxies, and this loss has none")
        classes = batch.classes
        check_batch(batch.embeddings, batch.labels, classes.weights, centers_per_class=classes.centers_per_class)
        virtual = _virtual_weights(batch.embeddings, batch.labels, classes)
        return replace(batch, classes=_joined(classes, virtual), excluded=_excluded(batch, classes.count))


def _virtual_weights(embeddings: Tensor, labels: Tensor, classes: Classes) -> Tensor:
    """[B * K, D]: K equal rows for each row of the batch."""
    centers = classes.centers_per_class
    lengths = torch.linalg.vector_norm(widened(classes.weights), dim=1).view(-1, centers).mean(dim=1)
    weights: Tensor = lengths.index_select(0, labels)[:, None] * unit(embeddings)
    return weights.repeat_interleave(centers, dim=0).to(classes.weights.dtype)


def _joined(classes: Classes, virtual: Tensor) -> Classes:
    count = virtual.shape[0] // classes.centers_per_class
    return classes.extended([virtual], [virtual.new_zeros(count)])


def _excluded(batch: Batch, classes: int) -> Tensor:
    rows = batch.embeddings.shape[0]
    others = ~torch.eye(rows, dtype=torch.bool, device=batch.embeddings.device)
    real = others.new_zeros(rows, classes) if batch.excluded is None else batch.excluded
    return torch.cat([real, others], dim=1)
