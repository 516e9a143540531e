"""Pair losses as modules around pytorch-metric-learning: embeddings against each other, or against references.

A module takes raw embeddings [B, D] and labels [B], and optionally raw references [R, D] with labels [R]. Alone, every
row is an anchor for all other rows; with references, every row is an anchor for all references, none left out. A
batch without a valid pair costs exactly 0, with zero gradients. All raise ValueError for shapes that do not belong
together and for an empty batch.

Losses and miners get embeddings that this module has normalized. Miners compute in float64, since distance weighting
raises distances to the power of D and loses whole rows in float32. Distance weighting draws its negatives in training
mode; in evaluation mode all triplets count.
"""

from typing import Any, Literal

import torch
from pytorch_metric_learning import distances, losses, reducers
from pytorch_metric_learning.utils.loss_and_miner_utils import convert_to_pairs
from torch import Tensor, nn

from trainables.geometry import lipschitz, unit, widened
from trainables.losses.pair_config import Distance, Normalize
from trainables.losses.pair_mining import Indices, Miner, MinerName, build_distance, build_miner, draws

_NORMALIZE = {"unit": unit, "lipschitz": lipschitz, "none": widened}


class PairLoss(nn.Module):
    """What all pair losses do: check, normalize, mine, and hand over to `compare`."""

    loss: Any

    def __init__(self, loss: nn.Module, *, normalize: Normalize, miner: Miner | None) -> None:
        super().__init__()
        self.loss, self.miner = loss, miner
        self._normalize = _NORMALIZE[normalize]

    def forward(
        self,
        embeddings: Tensor,
        labels: Tensor,
        references: Tensor | None = None,
        reference_labels: Tensor | None = None,
    ) -> Tensor:
        """The loss, a scalar, in at least float32."""
        check_pairs(embeddings, labels, references, reference_labels)
        with torch.autocast(embeddings.device.type, enabled=False):
            rows = self._normalize(embeddings)
            if references is None or reference_labels is None:
                return self.compare(rows, labels, rows, None)
            columns = self._normalize(references).to(rows.dtype)
            # Views: the library takes labels that are the batch's own object for the batch itself.
            return self.compare(rows, labels, columns[:], reference_labels[:].to(labels.dtype))

    def compare(self, rows: Tensor, labels: Tensor, columns: Tensor, column_labels: Tensor | None) -> Tensor:
        """The loss of normalized rows against normalized columns; without column labels the columns are the rows."""
        raise NotImplementedError

    def mined(self, rows: Tensor, labels: Tensor, columns: Tensor, column_labels: Tensor | None) -> Indices | None:
        """Indices that the miner chose; None for all: without a miner, and in evaluation mode instead of drawn ones."""
        if self.miner is None or (draws(self.miner) and not self.training):
            return None
        anchors = rows.detach().double()
        if column_labels is None:
            return self.miner(anchors, labels)
        return self.miner(anchors, labels, columns.detach().double(), column_labels)


class PairwiseLoss(PairLoss):
    """A loss on positive pairs and negative pairs."""

    def compare(self, rows: Tensor, labels: Tensor, columns: Tensor, column_labels: Tensor | None) -> Tensor:
        if not len(columns):
            return rows.sum() * 0
        pairs = convert_to_pairs(self.mined(rows, labels, columns, column_labels), labels, column_labels)
        # Not through the library's forward: it returns 0 for one positive pair with one negative pair.
        terms = self.loss.loss_method(self.loss.distance(rows, columns), pairs)
        result: Tensor = self.loss.reducer(terms, rows, labels)
        return result


class TripletwiseLoss(PairLoss):
    """A loss on triplets."""

    def compare(self, rows: Tensor, labels: Tensor, columns: Tensor, column_labels: Tensor | None) -> Tensor:
        if not len(columns):
            return rows.sum() * 0
        indices = self.mined(rows, labels, columns, column_labels)
        if column_labels is None:
            return self.loss(rows, labels, indices)  # type: ignore[no-any-return]
        return self.loss(rows, labels, indices, columns, column_labels)  # type: ignore[no-any-return]


class Contrastive(PairwiseLoss):
    """Contrastive loss with two margins: terms [d - positive_margin]+ and [negative_margin - d]+.

    With `reduction: active` the mean over positive pairs with a positive term plus the same over negative pairs; with
    `rows` the sum of all terms over the number of rows. `distance: cosine`, `reduction: rows`, `positive_margin: 1e-5`
    is the loss of the XBM paper, whose margin on cosines is 1 - negative_margin.

    Source: Hadsell, Chopra and LeCun, "Dimensionality Reduction by Learning an Invariant Mapping", CVPR 2006, equation
    4, with distances that are not squared; a margin on positives as in Wu et al., ICCV 2017.
    """

    def __init__(
        self,
        *,
        distance: Distance = "euclidean",
        positive_margin: float = 0.0,
        negative_margin: float = 0.5,
        reduction: Literal["active", "rows"] = "active",
        miner: MinerName = "none",
        normalize: Normalize = "unit",
    ) -> None:
        loss = losses.ContrastiveLoss(
            pos_margin=positive_margin,
            neg_margin=negative_margin,
            distance=build_distance(distance),
            reducer=reducers.SumReducer() if reduction == "rows" else reducers.AvgNonZeroReducer(),
        )
        super().__init__(loss, normalize=normalize, miner=build_miner(miner, distance))
        self._reduction = reduction

    def compare(self, rows: Tensor, labels: Tensor, columns: Tensor, column_labels: Tensor | None) -> Tensor:
        total = super().compare(rows, labels, columns, column_labels)
        return total / len(rows) if self._reduction == "rows" else total


class Triplet(TripletwiseLoss):
    """Triplet loss: [d_ap - d_an + margin]+ over all triplets of a row, one of its positives and one of its negatives.

    The mean over the triplets with a positive term (`active`), or over `all`. Triplets are listed one by one: many
    references of few classes need a miner other than `semi_hard`, which lists them too.

    Source: Schroff, Kalenichenko and Philbin, "FaceNet", CVPR 2015, with distances that are not squared.
    """

    def __init__(
        self,
        *,
        distance: Distance = "euclidean",
        margin: float = 0.2,
        reduction: Literal["active", "all"] = "active",
        miner: MinerName = "none",
        normalize: Normalize = "unit",
    ) -> None:
        reducer = reducers.AvgNonZeroReducer() if reduction == "active" else reducers.MeanReducer()
        loss = losses.TripletMarginLoss(margin=margin, distance=build_distance(distance), reducer=reducer)
        super().__init__(loss, normalize=normalize, miner=build_miner(miner, distance, margin=margin))


class MultiSimilarity(PairwiseLoss):
    """Multi-similarity loss on cosines s, with alpha = positive_scale, beta = negative_scale, t = threshold.

    The mean over rows of

        1/alpha log(1 + sum_P exp(-alpha (s - t))) + 1/beta log(1 + sum_N exp(beta (s - t))),

    over the row's mined positives P and negatives N; rows without any count as 0. The miner keeps a positive with a
    cosine below that of the row's hardest negative plus epsilon, and a negative with a cosine above that of the row's
    hardest positive minus epsilon.

    Source: Wang et al., "Multi-Similarity Loss with General Pair Weighting for Deep Metric Learning", CVPR 2019;
    the threshold of 0.5 is that of its released code.
    """

    def __init__(
        self,
        *,
        positive_scale: float = 2.0,
        negative_scale: float = 50.0,
        threshold: float = 0.5,
        miner: Literal["none", "multi_similarity"] = "multi_similarity",
        epsilon: float = 0.1,
        normalize: Normalize = "unit",
    ) -> None:
        loss = losses.MultiSimilarityLoss(
            alpha=positive_scale,
            beta=negative_scale,
            base=threshold,
            distance=distances.DotProductSimilarity(normalize_embeddings=False),
        )
        super().__init__(loss, normalize=normalize, miner=build_miner(miner, "cosine", epsilon=epsilon))


class Margin(TripletwiseLoss):
    """Margin loss: terms [margin + d_ap - boundary]+ and [margin + boundary - d_an]+ of mined triplets.

    Their sum over the number of positive terms; a learned boundary adds nu * boundary.

    Source: Wu et al., "Sampling Matters in Deep Embedding Learning", ICCV 2017, with one boundary for all
    classes.
    """

    def __init__(
        self,
        *,
        distance: Distance = "euclidean",
        margin: float = 0.2,
        boundary: float = 1.2,
        boundary_learning: Literal["fixed", "learned"] = "fixed",
        nu: float = 0.0,
        miner: MinerName = "distance_weighted",
        normalize: Normalize = "unit",
    ) -> None:
        loss = losses.MarginLoss(
            margin=margin,
            beta=boundary,
            nu=nu,
            learn_beta=boundary_learning == "learned",
            distance=build_distance(distance),
        )
        if boundary_learning == "fixed":
            del loss.beta  # a float32 tensor that does not move with the module
            loss.register_buffer("beta", torch.tensor([boundary], dtype=torch.float64), persistent=False)
        super().__init__(loss, normalize=normalize, miner=build_miner(miner, distance))


def check_pairs(
    embeddings: Tensor, labels: Tensor, references: Tensor | None = None, reference_labels: Tensor | None = None
) -> None:
    """Refuses what no pair loss can compare.

    Raises:
        ValueError: shapes that do not belong together, an empty batch, labels that are no integers, references without
            labels or labels without references.
    """
    if (references is None) != (reference_labels is None):
        raise ValueError("references and reference_labels belong together; only one of them is given")
    sides = [("embeddings", embeddings, labels)]
    if references is not None and reference_labels is not None:
        sides.append(("references", references, reference_labels))
    for name, vectors, classes in sides:
        shapes = f"{name} {list(vectors.shape)} with labels {list(classes.shape)}"
        if vectors.ndim != 2 or classes.shape != vectors.shape[:1] or vectors.shape[1] != embeddings.shape[-1]:
            raise ValueError(f"expected [N, D] with labels [N], D that of the embeddings; got {shapes}")
        if classes.is_floating_point() or classes.dtype == torch.bool:
            raise ValueError(f"labels of {name} are class indices and must be integers, not {classes.dtype}")
    if not len(labels):
        raise ValueError("the batch is empty: labels [0]")
