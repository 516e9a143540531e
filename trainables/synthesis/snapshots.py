"""MemVir's formulas: past steps of a training as further classes, or as further rows, of the present one."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from trainables.batch import Batch
from trainables.classes import Classes
from trainables.geometry import check_batch, unit, widened

Memory = Literal["virtual_classes", "weights", "embeddings"]
Curriculum = Literal["gradual", "jump"]


class Snapshot(NamedTuple):
    """What is kept of one step: constants, copies of what training goes on to change.

    Attributes:
        embeddings: [b, D] of unit length, raw where the loss looks at lengths; b = 0 where only weights are kept.
        labels: [b], integers in 0..C-1.
        weights: [C * K, D], raw; no rows where only embeddings are kept.
        bias: [C] or None.
    """

    embeddings: Tensor
    labels: Tensor
    weights: Tensor
    bias: Tensor | None = None


@torch.no_grad()
def snapshot(embeddings: Tensor, labels: Tensor, classes: Classes, *, memory: Memory = "virtual_classes") -> Snapshot:
    """Copies of a step's raw embeddings [B, D], labels [B] and classes, or of the part of them that `memory` needs."""
    project = widened if classes.raw_embeddings else unit
    rows = 0 if memory == "weights" else len(labels)
    columns = 0 if memory == "embeddings" else classes.count
    return Snapshot(
        project(embeddings[:rows]).clone(),
        labels[:rows].clone(),
        classes.weights[: columns * classes.centers_per_class].clone(),
        None if classes.bias is None else classes.bias[:columns].clone(),
    )


def recalled(stored: Sequence[Snapshot], *, steps: int, gap: int, curriculum: Curriculum = "gradual") -> list[Snapshot]:
    """The snapshots that a step uses, the most recent first: those of age k (M + 1) for k = 1..n.

    Args:
        stored: what earlier steps left, the oldest first; the last one has age 1.
        steps: N, the most that are used.
        gap: M, steps that are passed over between two that are used.
        curriculum: `gradual` uses n = min(N, floor(len(stored) / (M + 1))), `jump` N of them or none.
    """
    stride = gap + 1
    count = min(steps, len(stored) // stride)
    if curriculum == "jump" and count < steps:
        count = 0
    return [stored[-k * stride] for k in range(1, count + 1)]


def with_snapshots(batch: Batch, past: Sequence[Snapshot]) -> Batch:
    """A batch with the rows and the classes of past steps behind its own; the batch itself where there are none.

    The classes of the k-th snapshot are the classes k C..k C + C - 1, and its labels are shifted by k C. Of a snapshot
    without weights the rows are further instances of the present classes, and its labels stay.

    Raises:
        ValueError: the batch has no classes.
    """
    classes = batch.classes
    if classes is None:
        raise ValueError("memvir remembers proxies, and this loss has none")
    if not past:
        return batch
    shifted = [entry.labels + (k * classes.count if len(entry.weights) else 0) for k, entry in enumerate(past, start=1)]
    enlarged = classes.extended([entry.weights for entry in past], [entry.bias for entry in past])
    rows = torch.cat([widened(batch.embeddings), *(entry.embeddings for entry in past)])
    labels = torch.cat([batch.labels, *shifted])
    return Batch(rows, labels, enlarged, excluded=_padded(batch, len(rows), enlarged), real=batch.real_rows)


def _padded(batch: Batch, rows: int, classes: Classes) -> Tensor | None:
    """What exists for no row of the batch says nothing about past rows and past classes."""
    if batch.excluded is None:
        return None
    own_rows, own_classes = batch.excluded.shape
    return F.pad(batch.excluded, (0, classes.count - own_classes, 0, rows - own_rows), value=False)


def memvir(
    embeddings: Tensor,
    labels: Tensor,
    proxies: Tensor,
    stored: Sequence[Snapshot | tuple[Tensor, Tensor, Tensor]],
    *,
    steps: int,
    gap: int,
    curriculum: Curriculum = "gradual",
    centers_per_class: int = 1,
) -> tuple[Tensor, Tensor, Tensor]:
    """MemVir: embeddings and class weights of past steps are additional samples and additional, virtual classes.

    With the stored steps of age M + 1, 2 (M + 1), ..., n (M + 1) as blocks k = 1..n, the rows are
    `[x; x^(1); ...; x^(n)]`, the weights `[W; W^(1); ...; W^(n)]` and the labels `y^(k) + k C`. Present embeddings and
    weights come back raw; the base loss normalizes both. Past blocks are constants: only `embeddings` and `proxies`
    get gradients.

    Args:
        embeddings: [B, D], raw.
        labels: [B], integers in 0..C-1.
        proxies: [C * K, D], raw; row c * K + k is center k of class c.
        stored: embeddings [b, D] (unit length), labels [b] and raw weights [C * K, D] of past steps, the oldest first,
            as they were in the forward pass of their step; b may differ from B.
        steps: N, the most past steps that are used, at least 1.
        gap: M, steps that are passed over between two that are used, at least 0.
        curriculum: `gradual` uses as many as there are, n = min(N, floor(len(stored) / (M + 1))); `jump` N or none.
        centers_per_class: K.

    Returns:
        Embeddings [B + sum of b, D], labels [B + sum of b] and proxies [(n + 1) C K, D].

    Raises:
        ValueError: shapes that do not belong together, an empty batch, a label, `steps` or `gap` out of range.

    Source: Ko, Gu and Kim, "Learning with Memory-based Virtual Classes for Deep Metric Learning", ICCV 2021,
    arXiv 2103.16940, and its released code.
    """
    check_batch(embeddings, labels, proxies, centers_per_class=centers_per_class)
    if steps < 1 or gap < 0:
        raise ValueError(f"memvir needs steps of at least 1 and a gap of at least 0, not {steps} and {gap}")
    past = recalled([Snapshot(*entry) for entry in stored], steps=steps, gap=gap, curriculum=curriculum)
    batch = with_snapshots(Batch(embeddings, labels, Classes(proxies, centers_per_class=centers_per_class)), past)
    assert batch.classes is not None
    return batch.embeddings, batch.labels, batch.classes.weights
