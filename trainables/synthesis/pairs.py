"""Which samples of a batch are mixed with each other, and which synthetic class each mixture belongs to."""

import math
from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainables.devices import sent
from trainables.synthesis.pairings import predecessors

SameClass = Literal["keep", "drop", "repair"]
SyntheticClasses = Literal["pair", "class_pair"]
Count = Literal["single", "official"]


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
    device, batch = labels.device, labels.shape[0]
    looks = same_class != "keep" or synthetic_classes != "pair"
    labels = labels.to("cpu" if looks else device, torch.int64)
    rows, added = (
        official_counts(ratio, batch, classes) if count == "official" else (synthetic_count(ratio, batch),) * 2
    )
    if partners is None:
        partners = predecessors(batch, math.ceil(added / batch), device=labels.device)
    first, second = _paired_samples(labels, added, same_class, partners.to(labels.device))
    target, first_class, second_class = _named_classes(labels, classes, first, second, synthetic_classes)
    chosen = first[:rows], second[:rows], target[:rows], first_class, second_class
    return Pairs(*chosen).sent(device)


def synthetic_count(ratio: float, batch: int) -> int:
    """`floor(ratio * batch)` of the ratio as written: 0.29 of 100 is 29, although the float product is below 29."""
    return math.floor(ratio * batch + 1e-9)


def official_counts(ratio: float, batch: int, classes: int) -> tuple[int, int]:
    """Synthetic rows and synthetic classes of the released Proxy Synthesis code: two roundings, both ending at B."""
    rows, added = int(batch * (1 + ratio)) - batch, int(classes + batch * ratio) - classes
    return min(rows, batch), min(added, batch)


def separate_neighbours(labels: Tensor, *, sweeps: int = 50) -> Tensor:
    """The released code's reordering of a batch, a permutation [B] after which neighbours should differ in class.

    A sweep goes once around the batch; where a sample and the next one are of one class, the next one changes places
    with the one after it. Sweeps end when one changes nothing, or at their limit with neighbours of one class left.
    """
    values = labels.tolist()
    order = list(range(len(values)))
    for _ in range(sweeps):
        if not _sweep(values, order):
            break
    return torch.tensor(order, device=labels.device)


def _sweep(values: list[int], order: list[int]) -> bool:
    size, changed = len(order), False
    for here in range(size):
        after, beyond = (here + 1) % size, (here + 2) % size
        if values[order[here]] == values[order[after]]:
            order[after], order[beyond] = order[beyond], order[after]
            changed = True
    return changed


def re_paired(labels: NDArray[np.int64], partners: NDArray[np.int64]) -> NDArray[np.int64]:
    """Exchanges partners, a permutation [B], until no sample has one of its own class, as far as the batch allows.

    A sample i of class c whose partner is of class c exchanges with the next k in the batch such that neither k nor its
    partner is of class c. At most `2 n_c - 1` positions are no such k, so there is one while c holds at most half of
    the batch; of a larger class, `2 (B - n_c)` pairs end up mixed, and no permutation has more.
    """
    partners = partners.copy()
    for i in np.flatnonzero(labels == labels[partners]):
        free = np.flatnonzero((labels != labels[i]) & (labels[partners] != labels[i]))
        if labels[partners[i]] == labels[i] and free.size:
            k = free[np.searchsorted(free, i) % free.size]
            partners[i], partners[k] = partners[k], partners[i]
    return partners


def _paired_samples(labels: Tensor, count: int, same_class: SameClass, partners: Tensor) -> tuple[Tensor, Tensor]:
    batch = labels.shape[0]
    rounds = math.ceil(count / batch)
    first = torch.arange(batch, device=labels.device).repeat(rounds)
    second = partners[:rounds].reshape(-1)
    if same_class == "repair":
        repaired = [re_paired(labels.numpy(), round_) for round_ in second.view(-1, batch).numpy()]
        second = torch.from_numpy(np.asarray(repaired, dtype=np.int64).reshape(-1))
    if same_class != "keep":
        different = labels[first] != labels[second]
        first, second = first[different], second[different]
    return first[:count], second[:count]


def _named_classes(
    labels: Tensor, classes: int, first: Tensor, second: Tensor, synthetic_classes: SyntheticClasses
) -> tuple[Tensor, Tensor, Tensor]:
    if synthetic_classes == "pair":
        return torch.arange(first.shape[0], device=labels.device), labels[first], labels[second]
    keys, target = torch.unique(labels[first] * classes + labels[second], return_inverse=True)
    return target, keys // classes, keys % classes
