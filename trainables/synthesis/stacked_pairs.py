"""Pairs of the batches of several runs, chosen at once: a few operations on all of them cost little more than on one.

On the CPU in numpy: what a choice looks at is there, and small.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

SameClass = Literal["keep", "drop", "repair"]
SyntheticClasses = Literal["pair", "class_pair"]
Count = Literal["single", "official"]
Integers = NDArray[np.int64]

_NO_CLASS = np.iinfo(np.int64).max


@dataclass(frozen=True)
class StackedPairs:
    """`Pairs` of M batches, filled up with 0 to one size that depends on the size of a batch alone.

    Attributes:
        samples: `first`, `second` and `target`, [3, M, n].
        named: `first_class` and `second_class`, [2, M, m].
        rows, classes: [M], how many of n and m there are.
    """

    samples: Integers
    named: Integers
    rows: Integers
    classes: Integers

    @property
    def idle_rows(self) -> NDArray[np.bool_]:
        """[M, n], those that only fill up."""
        return _beyond(self.rows, self.samples.shape[2])

    @property
    def idle_classes(self) -> NDArray[np.bool_]:
        """[M, m], those that only fill up."""
        return _beyond(self.classes, self.named.shape[2])


def choose_stacked_pairs(
    labels: Integers,
    classes: int,
    *,
    ratio: float,
    same_class: SameClass,
    synthetic_classes: SyntheticClasses,
    count: Count,
    partners: Integers,
) -> StackedPairs:
    """`choose_pairs` of M batches.

    Args:
        labels: [M, B].
        partners: [M, R, B].
    """
    rows, added = counts(ratio, labels.shape[1], classes, count)
    first, second, present = _paired_samples(labels, partners, added, same_class)
    row = np.arange(len(labels))[:, None]
    named = np.stack([labels[row, first], labels[row, second]])
    target, found = np.broadcast_to(np.arange(added), first.shape), present
    if synthetic_classes == "class_pair":
        keys = np.where(_beyond(present, added), _NO_CLASS, named[0] * classes + named[1])
        target, keys, found = _distinct(keys, present)
        named = np.stack(np.divmod(keys, classes))
    chosen = StackedPairs(np.stack([first, second, target])[..., :rows], named, present.clip(max=rows), found)
    chosen.samples[:, chosen.idle_rows] = 0
    chosen.named[:, chosen.idle_classes] = 0
    return chosen


def counts(ratio: float, batch: int, classes: int, count: Count) -> tuple[int, int]:
    """Synthetic rows and synthetic classes of a batch."""
    return official_counts(ratio, batch, classes) if count == "official" else (synthetic_count(ratio, batch),) * 2


def synthetic_count(ratio: float, batch: int) -> int:
    """`floor(ratio * batch)` of the ratio as written: 0.29 of 100 is 29, although the float product is below 29."""
    return math.floor(ratio * batch + 1e-9)


def official_counts(ratio: float, batch: int, classes: int) -> tuple[int, int]:
    """Synthetic rows and synthetic classes of the released Proxy Synthesis code: two roundings, both ending at B."""
    rows, added = int(batch * (1 + ratio)) - batch, int(classes + batch * ratio) - classes
    return min(rows, batch), min(added, batch)


def re_paired(labels: Integers, partners: Integers) -> Integers:
    """Exchanges partners, a permutation [B], until no sample has one of its own class, as far as the batch allows.

    A sample i of class c whose partner is of class c exchanges with the next k in the batch such that neither k nor its
    partner is of class c. At most `2 n_c - 1` positions are no such k, so there is one while c holds at most half of
    the batch; of a larger class, `2 (B - n_c)` pairs end up mixed, and no permutation has more.
    """
    values, chosen = labels.tolist(), partners.tolist()
    without: set[int] = set()  # classes that had no such k, since the last exchange
    for i in np.flatnonzero(labels == labels[partners]).tolist():
        own = values[i]
        if values[chosen[i]] != own or own in without:
            continue
        around = (*range(i + 1, len(values)), *range(i))
        k = next((k for k in around if values[k] != own and values[chosen[k]] != own), None)
        if k is None:
            without.add(own)
        else:
            chosen[i], chosen[k] = chosen[k], chosen[i]
            without.clear()
    return np.asarray(chosen, dtype=np.int64)


def _paired_samples(
    labels: Integers, partners: Integers, count: int, same_class: SameClass
) -> tuple[Integers, Integers, Integers]:
    """Samples and their partners [M, count], and how many of these there are [M]."""
    runs, batch = labels.shape
    rounds = math.ceil(count / batch)
    partners = partners[:, :rounds]
    if same_class == "repair":
        partners = _repaired(labels, partners)
    first = np.broadcast_to(np.tile(np.arange(batch), rounds), (runs, rounds * batch))
    second = partners.reshape(runs, -1)
    if same_class == "keep":
        return first[:, :count], second[:, :count], np.full(runs, count)
    row = np.arange(runs)[:, None]
    same = labels[row, first] == labels[row, second]
    kept = same.argsort(axis=1, kind="stable")[:, :count]  # the others in their order, and these after them
    present = (~same).sum(axis=1).clip(max=count)
    return first[row, kept], second[row, kept], present


def _repaired(labels: Integers, partners: Integers) -> Integers:
    repaired = partners.copy()
    for run, values in enumerate(labels):
        for number, round_ in enumerate(partners[run]):
            repaired[run, number] = re_paired(values, round_)
    return repaired


def _distinct(keys: Integers, present: Integers) -> tuple[Integers, Integers, Integers]:
    """Numbers [M, m] of keys among the distinct ones of their row, these [M, m] in rising order, and their count [M].

    Of each row `present` keys count; the others are larger.
    """
    row, order = np.arange(len(keys))[:, None], keys.argsort(axis=1)
    ordered = keys[row, order]
    is_new = np.ones(keys.shape, dtype=bool)
    is_new[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    place = is_new.cumsum(axis=1) - 1
    number, distinct = np.zeros_like(keys), np.zeros_like(keys)
    number[row, order] = place
    distinct[row, place] = ordered
    return number, distinct, is_new.sum(axis=1) - (present < keys.shape[1])


def _beyond(counts: Integers, size: int) -> NDArray[np.bool_]:
    """[M, size]: places from `counts` on."""
    return np.arange(size) >= counts[:, None]
