"""Formulas of the syntheses, without state and without randomness."""

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from trainables.classes import Classes
from trainables.devices import sent
from trainables.geometry import check_batch, unit, widened
from trainables.synthesis.pairs import Pairs, choose_pairs, separate_neighbours
from trainables.synthesis.snapshots import memvir
from trainables.synthesis.stacked_pairs import Count, SameClass, SyntheticClasses

__all__ = ["memvir", "mix_pairs", "proxy_synthesis", "separate_neighbours"]

Synthesize = Literal["both", "proxies", "embeddings"]


def proxy_synthesis(
    embeddings: Tensor,
    labels: Tensor,
    proxies: Tensor,
    *,
    ratio: float = 1.0,
    mixing_weight: float = 0.5,
    same_class: SameClass = "keep",
    synthetic_classes: SyntheticClasses = "pair",
    count: Count = "single",
    centers_per_class: int = 1,
) -> tuple[Tensor, Tensor, Tensor]:
    """Proxy Synthesis: mixtures of neighbours in the batch, and of their proxies, are additional classes.

    On unit vectors, for the first n = floor(ratio * B) samples i and j = i - 1 (sample 0 with the last one), with the
    mixing weight l: the row `l x_i + (1 - l) x_j`, the proxy `l p_{y_i} + (1 - l) p_{y_j}`, the label `C + i`. All rows
    are normalized again, and gradients reach both samples and both proxies of every mixture. The defaults are the
    published computation on the batch in the order given; the options after `mixing_weight` depart from it.
    Exactly opposite vectors cancel at the weight 1/2: the mixture is the zero vector, its gradient finite but huge.

    Args:
        embeddings: [B, D], raw.
        labels: [B], integers in 0..C-1.
        proxies: [C * K, D], raw; row c * K + k is center k of class c.
        ratio: synthetic rows per real row, mu. In round r > 1 of a ratio above 1 sample i is paired with i - r.
        mixing_weight: weight of the sample itself, lambda in [0, 1]; the caller draws it.
        same_class: `keep`, `drop` or `repair` pairs within one class (see `trainables.synthesis.pairs`).
        synthetic_classes: one for every `pair` or one for every ordered `class_pair`.
        count: a `single` number of rows and classes, or the two of the `official` code.
        centers_per_class: K; classes are mixed center by center.

    Returns:
        Embeddings [B + n, D], labels [B + n] and proxies [(C + m) * K, D]; embeddings and proxies have unit length.

    Raises:
        ValueError: shapes that do not belong together, an empty batch, a label, ratio or weight out of range.

    Source: Gu, Ko and Kim, "Proxy Synthesis: Learning with Synthetic Classes for Deep Metric Learning", AAAI 2021,
    arXiv 2103.15454, and its released code.
    """
    check_batch(embeddings, labels, proxies, centers_per_class=centers_per_class)
    classes = Classes(proxies, centers_per_class=centers_per_class)
    pairs = choose_pairs(
        labels, classes.count, ratio=ratio, same_class=same_class, synthetic_classes=synthetic_classes, count=count
    )
    rows, targets, enlarged = mix_pairs(embeddings, labels, classes, pairs, mixing_weight=mixing_weight)
    return rows, targets, enlarged.weights


def mix_pairs(
    embeddings: Tensor,
    labels: Tensor,
    classes: Classes,
    pairs: Pairs,
    *,
    mixing_weight: float | Tensor,
    synthesize: Synthesize = "both",
) -> tuple[Tensor, Tensor, Classes]:
    """Appends the mixtures that `pairs` names to a batch and its classes.

    Classes are directions: weights and embeddings are normalized before and after. But where the loss looks at the
    length of embeddings (plain softmax, sphereface) these are mixed as they are, and so are weights with biases.

    Args:
        embeddings: [B, D], raw.
        labels: [B], integers in 0..C-1.
        classes: C classes.
        pairs: n mixtures and m synthetic classes.
        mixing_weight: weight of the first of each pair in [0, 1]; a number, or [m], one for every synthetic class and
            so for all its mixtures.
        synthesize: `both`; `proxies`, m classes that no row belongs to; or `embeddings`, n rows that belong to the
            class of the parent with the larger weight (the first at 1/2). The last two are ours.

    Raises:
        ValueError: a mixing weight outside [0, 1].
    """
    if isinstance(mixing_weight, float | int) and not 0 <= mixing_weight <= 1:
        raise ValueError(f"mixing_weight must lie between 0 and 1, not {mixing_weight}")
    project = widened if classes.raw_embeddings else unit
    project_weights = unit if classes.bias is None else widened
    rows, weights = project(embeddings), project_weights(classes.weights)
    weight = sent(mixing_weight, rows.device).to(rows.dtype) if isinstance(mixing_weight, Tensor) else mixing_weight
    of_rows = weight.index_select(0, pairs.target) if isinstance(weight, Tensor) else weight
    enlarged = replace(classes, weights=weights)
    if synthesize != "embeddings":
        enlarged = _with_mixed(enlarged, pairs, weight, project_weights)
    if synthesize == "proxies":
        return rows, labels, enlarged
    heavier = _heavier_parents(labels, pairs, of_rows) if synthesize == "embeddings" else classes.count + pairs.target
    mixed = _mix(rows, pairs.first, pairs.second, of_rows)
    return project(torch.cat([rows, mixed])), torch.cat([labels, heavier]), enlarged


def _with_mixed(classes: Classes, pairs: Pairs, weight: float | Tensor, project: Callable[[Tensor], Tensor]) -> Classes:
    centers = classes.weights.reshape(classes.count, classes.centers_per_class, -1)
    mixed = _mix(centers, pairs.first_class, pairs.second_class, weight).flatten(0, 1)
    bias = None if classes.bias is None else _mix(classes.bias, pairs.first_class, pairs.second_class, weight)
    enlarged = classes.extended([mixed], [bias])
    return replace(enlarged, weights=project(enlarged.weights))


def _heavier_parents(labels: Tensor, pairs: Pairs, weight: float | Tensor) -> Tensor:
    first, second = labels.index_select(0, pairs.first), labels.index_select(0, pairs.second)
    if isinstance(weight, Tensor):
        return torch.where(weight >= 0.5, first, second)
    return first if weight >= 0.5 else second


def _mix(values: Tensor, first: Tensor, second: Tensor, weight: float | Tensor) -> Tensor:
    if isinstance(weight, Tensor):
        weight = weight.view(-1, *[1] * (values.ndim - 1))
    # index_select, since the backward of values[first] adds up in a random order on several CPU threads
    return weight * values.index_select(0, first) + (1 - weight) * values.index_select(0, second)
