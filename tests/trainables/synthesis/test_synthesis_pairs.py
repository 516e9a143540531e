"""Which samples are paired: counts, the released code's reordering, exchanges of partners, shared classes."""

import math
from collections import Counter
from itertools import permutations
from typing import Any

import numpy as np
import pytest
import torch

from trainables.synthesis.pairs import choose_pairs, separate_neighbours
from trainables.synthesis.stacked_pairs import official_counts, re_paired, synthetic_count


def random_batches(batches: int, *, largest: int = 24) -> list[list[int]]:
    source = np.random.default_rng(0)
    sizes = source.integers(1, largest, size=(batches, 2))
    return [source.integers(0, classes, size=rows).tolist() for rows, classes in sizes]


def mixed_at_most(labels: list[int]) -> int:
    """Largest number of pairs (i, partner of i) of different classes over all permutations of partners."""
    largest = max(Counter(labels).values())
    return len(labels) if 2 * largest <= len(labels) else 2 * (len(labels) - largest)


@pytest.mark.parametrize(
    ("ratio", "batch", "count"),
    [
        (0.13, 100, 13),
        (0.29, 100, 29),
        (0.4, 180, 72),
        (1 / 3, 3, 1),
        (0.5, 7, 3),
        (0.01, 64, 0),
        (2.5, 5, 12),
        (0, 9, 0),
    ],
)
def test_count_is_the_floor_of_the_ratio_as_written(ratio: float, batch: int, count: int) -> None:
    assert synthetic_count(ratio, batch) == count


def test_count_is_exact_for_all_hundredths() -> None:
    for hundredths in range(0, 301):
        for batch in range(1, 257):
            assert synthetic_count(hundredths / 100, batch) == hundredths * batch // 100


@pytest.mark.parametrize(
    ("ratio", "batch", "counts"),
    [(0.13, 100, (12, 13)), (0.4, 180, (71, 72)), (1.0, 128, (128, 128)), (2.5, 8, (8, 8))],
)
def test_official_counts_differ_by_rounding_and_end_at_the_batch(
    ratio: float, batch: int, counts: tuple[int, int]
) -> None:
    assert official_counts(ratio, batch, 98) == counts


def reference_sweeps(labels: list[int]) -> list[int]:
    """The released reordering, written on values instead of positions: (label, original position)."""
    items = [(label, position) for position, label in enumerate(labels)]
    for _ in range(50):
        swaps = 0
        for a in range(len(items)):
            b = (a + 1) % len(items)
            c = (b + 1) % len(items)
            if items[a][0] == items[b][0]:
                items[b], items[c] = items[c], items[b]
                swaps += 1
        if swaps == 0:
            break
    return [position for _, position in items]


def test_separate_neighbours_by_hand() -> None:
    """A A B B: position 1 changes with 2 (A B A B, positions 0 2 1 3); from there on no neighbours are equal."""
    assert separate_neighbours(torch.tensor([7, 7, 3, 3])).tolist() == [0, 2, 1, 3]


def test_separate_neighbours_repeats_the_released_sweeps() -> None:
    for labels in random_batches(300):
        assert separate_neighbours(torch.tensor(labels)).tolist() == reference_sweeps(labels)


def test_separate_neighbours_is_a_permutation_that_separates_where_no_class_has_the_majority() -> None:
    for labels in random_batches(300):
        order = separate_neighbours(torch.tensor(labels)).tolist()
        assert sorted(order) == list(range(len(labels)))
        reordered = [labels[position] for position in order]
        if 2 * max(Counter(labels).values()) <= len(labels):
            assert all(reordered[i] != reordered[i - 1] for i in range(len(labels)))


def test_separate_neighbours_gives_up_after_its_sweeps() -> None:
    labels = torch.arange(2).repeat_interleave(120)
    reordered = labels[separate_neighbours(labels)]
    assert (reordered == reordered.roll(1)).any()
    patient = labels[separate_neighbours(labels, sweeps=1000)]
    assert not (patient == patient.roll(1)).any()


def test_exchanges_leave_no_pair_within_a_class_as_far_as_the_batch_allows() -> None:
    for labels in random_batches(400):
        values = np.array(labels)
        for shift in range(1, 4):
            partners = re_paired(values, np.roll(np.arange(len(values)), shift))
            assert sorted(partners.tolist()) == list(range(len(values)))
            assert int((values != values[partners]).sum()) == mixed_at_most(labels)


def test_no_permutation_of_partners_mixes_more() -> None:
    """The bound that the exchanges are held to is the best of all permutations."""
    for labels in random_batches(60, largest=6):
        best = max(sum(a != b for a, b in zip(labels, order, strict=True)) for order in permutations(labels))
        assert best == mixed_at_most(labels)


def test_exchanges_leave_mixed_pairs_where_they_are() -> None:
    """Samples 0..5 of classes A B B C D E: only 2 has a partner of its class, and 4 with partner 3 is the next fit."""
    partners = re_paired(np.array([0, 1, 1, 2, 3, 4]), np.array([5, 0, 1, 2, 3, 4]))
    assert partners.tolist() == [5, 0, 3, 2, 1, 4]


def test_default_is_the_previous_sample_and_one_class_per_pair() -> None:
    pairs = choose_pairs(torch.tensor([0, 0, 2, 1]), 3, ratio=0.75)
    assert pairs.first.tolist() == [0, 1, 2]
    assert pairs.second.tolist() == [3, 0, 1]
    assert pairs.target.tolist() == [0, 1, 2]
    assert pairs.first_class.tolist() == [0, 0, 2]
    assert pairs.second_class.tolist() == [1, 0, 0]


def test_round_r_pairs_with_the_r_th_predecessor() -> None:
    pairs = choose_pairs(torch.tensor([0, 1, 2]), 3, ratio=2.5)
    assert pairs.first.tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert pairs.second.tolist() == [2, 0, 1, 1, 2, 0, 0]


def test_drop_takes_the_first_pairs_of_different_classes() -> None:
    pairs = choose_pairs(torch.tensor([0, 0, 1, 1]), 2, ratio=0.5, same_class="drop")
    assert (pairs.first.tolist(), pairs.second.tolist()) == ([0, 2], [3, 1])


def test_one_class_per_ordered_pair_of_classes() -> None:
    pairs = choose_pairs(torch.tensor([0, 1, 0, 1, 2]), 4, synthetic_classes="class_pair")
    named = [(int(pairs.first_class[t]), int(pairs.second_class[t])) for t in pairs.target]
    assert named == [(0, 2), (1, 0), (0, 1), (1, 0), (2, 1)]
    assert len(pairs.first_class) == 4


def test_narrow_labels_do_not_overflow() -> None:
    labels = torch.tensor([100, 120, 90], dtype=torch.int8)
    pairs = choose_pairs(labels, 127, synthetic_classes="class_pair", same_class="repair")
    assert sorted(zip(pairs.first_class.tolist(), pairs.second_class.tolist(), strict=True)) == [
        (90, 120),
        (100, 90),
        (120, 100),
    ]


def test_official_counts_leave_one_class_without_a_row() -> None:
    pairs = choose_pairs(torch.arange(100), 100, ratio=0.13, count="official")
    assert len(pairs.first) == len(pairs.target) == 12
    assert len(pairs.first_class) == 13


def test_repair_reaches_the_count_whenever_no_class_has_the_majority() -> None:
    for labels in random_batches(200):
        for ratio in (0.3, 1.0, 2.5):
            pairs = choose_pairs(torch.tensor(labels), 24, ratio=ratio, same_class="repair")
            values = torch.tensor(labels)
            assert (values[pairs.first] != values[pairs.second]).all()
            rounds, wanted = math.ceil(ratio), synthetic_count(ratio, len(labels))
            assert len(pairs.first) == min(wanted, math.ceil(wanted / len(labels)) * mixed_at_most(labels))
            assert max(Counter(pairs.first.tolist()).values(), default=0) <= rounds


@pytest.mark.parametrize("ratio", [-0.1, math.inf, math.nan])
def test_impossible_ratios_are_refused(ratio: float) -> None:
    with pytest.raises(ValueError, match="ratio"):
        choose_pairs(torch.tensor([0, 1]), 2, ratio=ratio)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32])
@pytest.mark.parametrize("same_class", ["keep", "drop", "repair"])
@pytest.mark.parametrize("synthetic_classes", ["pair", "class_pair"])
def test_labels_of_any_integers(dtype: torch.dtype, same_class: Any, synthetic_classes: Any) -> None:
    labels = torch.tensor([0, 0, 1, 2, 2, 1])
    found, expected = (
        choose_pairs(each, 3, ratio=1.0, same_class=same_class, synthetic_classes=synthetic_classes)
        for each in (labels.to(dtype), labels)
    )
    for each, right in zip(vars(found).values(), vars(expected).values(), strict=True):
        assert each.dtype == torch.int64 and torch.equal(each, right)
