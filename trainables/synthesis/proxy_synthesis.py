"""Proxy Synthesis as a part of a training run."""

from torch import Tensor

from trainables.classes import Classes
from trainables.geometry import check_batch
from trainables.step import Step
from trainables.synthesis import config as configs
from trainables.synthesis.base import Synthesis
from trainables.synthesis.functional import mix_pairs, separate_neighbours
from trainables.synthesis.pairs import Pairs, choose_pairs


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
    """

    def __init__(self, config: configs.ProxySynthesis) -> None:
        self.config = config

    def enlarge(
        self, embeddings: Tensor, labels: Tensor, classes: Classes | None, step: Step
    ) -> tuple[Tensor, Tensor, Classes]:
        """Adds floor(ratio * B) rows, each a mixture, and the classes that they belong to.

        Raises:
            ValueError: the loss has no proxies, or shapes and labels do not fit (see `functional.proxy_synthesis`).
        """
        if classes is None:
            raise ValueError("proxy_synthesis mixes proxies, and this loss has none")
        check_batch(embeddings, labels, classes.weights, centers_per_class=classes.centers_per_class)
        if self.config.ratio == 0:
            return embeddings, labels, classes
        if self.config.compat == "official":
            order = separate_neighbours(labels)
            embeddings, labels = embeddings.index_select(0, order), labels.index_select(0, order)
        pairs = self._pairs(labels, classes.count)
        return mix_pairs(embeddings, labels, classes, pairs, mixing_weight=self.mixing_weight(step))

    def mixing_weight(self, step: Step) -> float:
        """The weight of the sample itself in every mixture of a step."""
        alpha = self.config.mixup_alpha
        return float(step.numpy_generator("synthesis").beta(alpha, alpha))

    def _pairs(self, labels: Tensor, classes: int) -> Pairs:
        ratio = self.config.ratio
        if self.config.compat == "official":
            return choose_pairs(labels, classes, ratio=ratio, count="official")
        return choose_pairs(labels, classes, ratio=ratio, same_class="repair", synthetic_classes="class_pair")
