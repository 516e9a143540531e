"""Proxy Synthesis as a part of a training run."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from trainables.batch import Batch
from trainables.classes import Classes
from trainables.devices import sent
from trainables.geometry import check_batch
from trainables.step import Step
from trainables.synthesis import config as configs
from trainables.synthesis.base import Space, Synthesis
from trainables.synthesis.functional import mix_pairs, separate_neighbours
from trainables.synthesis.pairings import nearest_proxies, permuted
from trainables.synthesis.pairs import Pairs, choose_pairs


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
        pairs = self._pairs(labels if order is None else labels.index_select(0, order), classes, step)
        return Mixtures(order, pairs, self._mixing_weight(step, len(pairs.first_class)))

    def mixing_weight(self, step: Step) -> float:
        """The weight of the sample itself in every mixture of a step."""
        alpha = self.config.mixup_alpha
        return float(step.numpy_generator("synthesis").beta(alpha, alpha))

    def _mixing_weight(self, step: Step, synthetic_classes: int) -> float | Tensor:
        if self.config.mixing == "batch":
            return self.mixing_weight(step)
        alpha = self.config.mixup_alpha
        return torch.from_numpy(step.numpy_generator("synthesis").beta(alpha, alpha, size=synthetic_classes))

    def _pairs(self, labels: Tensor, classes: Classes, step: Step) -> Pairs:
        config = self.config
        if config.compat == "official":
            return choose_pairs(labels, classes.count, ratio=config.ratio, count="official")
        return choose_pairs(
            labels,
            classes.count,
            ratio=config.ratio,
            same_class="repair",
            # without classes to share, every mixture has its own weight
            synthetic_classes="pair" if config.synthesize == "embeddings" else config.synthetic_classes,
            partners=self._partners(labels, classes, step),
        )

    def _partners(self, labels: Tensor, classes: Classes, step: Step) -> Tensor | None:
        rounds = math.ceil(self.config.ratio)
        if self.config.pairing == "permutation":
            return permuted(len(labels), rounds, step.numpy_generator("pairing"))
        if self.config.pairing == "nearest_proxy":
            return nearest_proxies(labels, classes, rounds)
        return None
