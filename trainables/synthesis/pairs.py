"""Which samples of a batch are mixed with each other, and which synthetic class each mixture belongs to."""

import math
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from trainables.devices import sent
from trainables.synthesis.pairings import predecessors
from trainables.synthesis.stacked_pairs import (
    Count,
    SameClass,
    StackedPairs,
    SyntheticClasses,
    choose_stacked_pairs,
    counts,
)


@dataclass(frozen=True)
class Pairs:
    """n mixtures of two samples and m synthetic classes, each a mixture of two classes, on the labels' device.

    Attributes:
        first: [n], the sample that carries the mixing weight.
        second: [n], its partner.
        target: [n], the synthetic class of the mixture, 0..m-1.
        first_class: [m], the class that carries the mixing weight.
        second_class: [m], its partner.
    """

    first: Tensor
    second: Tensor
    target: Tensor
    first_class: Tensor
    second_class: Tensor

    def sent(self, device: torch.device) -> "Pairs":
        """The same on another device."""
        return Pairs(*(sent(getattr(self, each.name), device) for each in fields(self)))


def choose_pairs(
    labels: Tensor,
    classes: int,
    *,
    ratio: float = 1.0,
    same_class: SameClass = "keep",
    synthetic_classes: SyntheticClasses = "pair",
    count: Count = "single",
    partners: Tensor | None = None,
) -> Pairs:
    """The first `floor(ratio * B)` pairs of a batch: in round r (from 1) sample i is paired with sample i - r.

    Every option but the defaults looks at the labels, and would wait for a GPU: training gives those on the CPU.

    Args:
        labels: [B], integers in 0..C-1.
        classes: C.
        ratio: mixtures per sample; above 1 there are further rounds.
        same_class: what becomes of a pair within one class, whose mixed proxy is the class's own under another label:
            `keep` it, `drop` it, or `repair` it by exchanging partners and drop only what no exchange can mend.
        synthetic_classes: one for every `pair`, or one for every ordered `class_pair`, so that no two synthetic
            classes have the same proxy.
        count: a `single` number for rows and classes, or the two of the `official` code, which float rounding can set
            one apart and which end at B.
        partners: int64 [R, B] with R of at least the ratio, the partners of another pairing than i - r (see
            `trainables.synthesis.pairings`).

    Raises:
        ValueError: a ratio below 0.
    """
    if not 0 <= ratio < math.inf:
        raise ValueError(f"ratio is the number of synthetic per real rows and must be at least 0, not {ratio}")
    labels, batch = labels.to(torch.int64), labels.shape[0]
    rows, added = counts(ratio, batch, classes, count)
    looks = same_class != "keep" or synthetic_classes != "pair"
    device = torch.device("cpu") if looks else labels.device
    if partners is None:
        partners = predecessors(batch, math.ceil(added / batch), device=device)
    if not looks:
        first = torch.arange(batch, device=device).repeat(len(partners))[:added]
        second = partners.to(device).flatten()[:added]
        target = torch.arange(added, device=device)
        return Pairs(first[:rows], second[:rows], target[:rows], labels[first], labels[second])
    found = choose_stacked_pairs(
        labels.cpu().numpy()[None],
        classes,
        ratio=ratio,
        same_class=same_class,
        synthetic_classes=synthetic_classes,
        count=count,
        partners=partners.cpu().numpy()[None],
    )
    return _only(found).sent(labels.device)


def _only(found: StackedPairs) -> Pairs:
    """Those of the only batch, without what fills up."""
    samples, named = torch.from_numpy(found.samples[:, 0, : found.rows[0]]), found.named[:, 0, : found.classes[0]]
    return Pairs(*samples, *torch.from_numpy(named))


def separate_neighbours(labels: Tensor, *, sweeps: int = 50) -> Tensor:
    """The released code's reordering of a batch, a permutation [B] after which neighbours should differ in class.

    A sweep goes once around the batch; where a sample and the next one are of one class, the next one changes places
    with the one after it. Sweeps end when one changes nothing, or at their limit with neighbours of one class left.
    """
    return torch.tensor(separated(labels.tolist(), sweeps=sweeps), device=labels.device)


def separated(values: list[int], *, sweeps: int = 50) -> list[int]:
    """`separate_neighbours` of a list."""
    order = list(range(len(values)))
    for _ in range(sweeps):
        if not _sweep(values, order):
            break
    return order


def _sweep(values: list[int], order: list[int]) -> bool:
    size, changed = len(order), False
    for here in range(size):
        after, beyond = (here + 1) % size, (here + 2) % size
        if values[order[here]] == values[order[after]]:
            order[after], order[beyond] = order[beyond], order[after]
            changed = True
    return changed
