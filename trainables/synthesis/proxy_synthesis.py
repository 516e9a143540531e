"""Proxy Synthesis as a part of a training run."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainables.batch import Batch
from trainables.classes import Classes
from trainables.devices import sent
from trainables.geometry import check_batch
from trainables.step import Step
from trainables.synthesis import config as configs
from trainables.synthesis.base import Space, Synthesis
from trainables.synthesis.functional import mix_pairs, separate_neighbours
from trainables.synthesis.pairings import nearest_proxies, permuted, predecessors
from trainables.synthesis.pairs import Pairs, choose_pairs, separated
from trainables.synthesis.stacked_pairs import Count, SameClass, StackedPairs, SyntheticClasses, choose_stacked_pairs


@dataclass(frozen=True)
class Mixtures:
    """Those of one step.

    Attributes:
        order: [B], how the batch is put in order first; None where it stays.
        weight: of the first of each pair, one number or [m].
    """

    order: Tensor | None
    pairs: Pairs
    weight: float | Tensor


class ProxySynthesis(Synthesis):
    """Synthetic classes between pairs of samples, for one step each (Gu, Ko and Kim, AAAI 2021, arXiv 2103.15454).

    One mixing weight per step is drawn from Beta(mixup_alpha, mixup_alpha); it is the same for all losses, ratios and
    `compat` at one seed, epoch and step.

    `compat: official` is what the released code does to a batch: it reorders the batch until neighbours differ in class
    or 50 sweeps are over, mixes every sample with its predecessor, and gives every pair a class of its own. Four of its
    faults are mended in `compat: none`:

    - Pairs within one class. Where the reordering fails (a class with more than half of the batch, long blocks of one
      class, a batch of one), the mixed proxy is the class's own proxy under another label, and the loss drives samples
      from their own class. Here the batch keeps its order and such samples exchange their partners. No pair within one
      class is left while no class holds more than half of the batch; otherwise those left over are dropped.
    - Classes that contradict each other. Two pairs of the same two classes in the same order have identical proxies,
      and the released code labels them differently. Here they are one synthetic class.
    - Two counts. Rows and classes are counted by two float expressions, which differ at a batch of 100 and a ratio of
      0.13, for example: one synthetic proxy has no sample. Here one integer, floor(ratio * B), counts rows.
    - Ratios above 1 silently act as 1. Here sample i is paired with i - 2 in a second round, with i - 3 in a third, and
      so on; where a small batch has fewer different pairs than asked for, pairs repeat.

    Both draw the weight from a stream of their own; the released code uses numpy's global one.

    The variants of the configuration are ours, and not in the released code. With
    `mixing: pair` every synthetic class has a weight of its own, which all its samples share (with `class_pair` several
    can), so that a sample and its proxy stay mixed alike. `pairing: nearest_proxy` looks for partners in the batch.
    """

    config: configs.ProxySynthesis

    def __init__(self, config: configs.ProxySynthesis, space: Space) -> None:
        super().__init__(config, space)

    def enlarge(self, batch: Batch, step: Step) -> Batch:
        """Adds floor(ratio * B) rows, each a mixture, and the classes that they belong to.

        Raises:
            ValueError: the loss has no proxies, or shapes and labels do not fit (see `functional.proxy_synthesis`).
        """
        embeddings, labels, classes = batch.embeddings, batch.labels, batch.classes
        if classes is None:
            raise ValueError("proxy_synthesis mixes proxies, and this loss has none")
        check_batch(embeddings, labels, classes.weights, centers_per_class=classes.centers_per_class)
        if self.config.ratio == 0:
            return batch
        at_hand, device = batch.labels_at_hand(), embeddings.device
        drawn = self.draw(at_hand, classes, step)
        if drawn.order is not None:
            embeddings = embeddings.index_select(0, sent(drawn.order, device))
            labels = sent(at_hand.index_select(0, drawn.order), device)
        pairs = drawn.pairs.sent(device)
        rows, targets, enlarged = mix_pairs(
            embeddings, labels, classes, pairs, mixing_weight=drawn.weight, synthesize=self.config.synthesize
        )
        return Batch(rows, targets, enlarged, real=len(embeddings))

    def draw(self, labels: Tensor, classes: Classes, step: Step) -> Mixtures:
        """What is mixed with what in a step; apart from `pairing: nearest_proxy` a function of labels [B] and step."""
        order = separate_neighbours(labels) if self.config.compat == "official" else None
        if order is not None:
            labels = labels.index_select(0, order)
        pairs = self._pairs(labels, classes, step)
        weight = self._mixing_weight(step, len(pairs.first_class))
        return Mixtures(order, pairs, weight if isinstance(weight, float) else torch.from_numpy(weight))

    def mixing_weight(self, step: Step) -> float:
        """The weight of the sample itself in every mixture of a step."""
        alpha = self.config.mixup_alpha
        return float(step.numpy_generator("synthesis").beta(alpha, alpha))

    def _mixing_weight(self, step: Step, synthetic_classes: int) -> float | NDArray[np.float64]:
        if self.config.mixing == "batch":
            return self.mixing_weight(step)
        alpha = self.config.mixup_alpha
        return step.numpy_generator("synthesis").beta(alpha, alpha, size=synthetic_classes)

    def _pairs(self, labels: Tensor, classes: Classes, step: Step) -> Pairs:
        same_class, synthetic_classes, count = _choice(self.config)
        return choose_pairs(
            labels,
            classes.count,
            ratio=self.config.ratio,
            same_class=same_class,
            synthetic_classes=synthetic_classes,
            count=count,
            partners=self._partners(labels, classes, step),
        )

    def _partners(self, labels: Tensor, classes: Classes, step: Step) -> Tensor | None:
        rounds = math.ceil(self.config.ratio)
        if self.config.pairing == "permutation":
            return permuted(len(labels), rounds, step.numpy_generator("pairing"))
        if self.config.pairing == "nearest_proxy":
            return nearest_proxies(labels, classes, rounds)
        return None


def _choice(config: configs.ProxySynthesis) -> tuple[SameClass, SyntheticClasses, Count]:
    """Arguments of `choose_pairs`."""
    if config.compat == "official":
        return "keep", "pair", "official"
    # without classes to share, every mixture has its own weight
    return "repair", "pair" if config.synthesize == "embeddings" else config.synthetic_classes, "single"


@dataclass(frozen=True)
class StackedMixtures:
    """`Mixtures` of M runs.

    Attributes:
        order: [M, B]; None where the batches stay.
        weight: [M, m]; 0 for classes that only fill up.
    """

    order: NDArray[np.int64] | None
    pairs: StackedPairs
    weight: NDArray[np.float64]


def draw_together(
    parts: Sequence[ProxySynthesis], labels: NDArray[np.int64], classes: int, steps: Sequence[Step]
) -> StackedMixtures:
    """`ProxySynthesis.draw` of M runs that differ in `mixup_alpha` alone, and do not pair by proxies.

    Args:
        labels: [M, B].
        classes: C.
        steps: of every run.
    """
    config, (runs, batch), order = parts[0].config, labels.shape, None
    if config.compat == "official":
        order = np.asarray([separated(row) for row in labels.tolist()])
        labels = np.take_along_axis(labels, order, axis=1)
    rounds = max(1, math.ceil(config.ratio))
    partners = np.broadcast_to(predecessors(batch, rounds).numpy(), (runs, rounds, batch))
    if config.pairing == "permutation":
        partners = np.stack([permuted(batch, rounds, step.numpy_generator("pairing")).numpy() for step in steps])
    same_class, synthetic_classes, count = _choice(config)
    pairs = choose_stacked_pairs(
        labels,
        classes,
        ratio=config.ratio,
        same_class=same_class,
        synthetic_classes=synthetic_classes,
        count=count,
        partners=partners,
    )
    weight = np.zeros(pairs.named.shape[1:])
    for row, part, step, drawn in zip(weight, parts, steps, pairs.classes.tolist(), strict=True):
        row[:drawn] = part._mixing_weight(step, drawn)
    return StackedMixtures(order, pairs, weight)
