"""Pools of images and greedy k-centre, against numbers worked out by hand."""

from itertools import combinations

import numpy as np
import pytest
import torch
from torch import Tensor

from trainables.strategies.ccp_centers import class_distance, covering_radius, draw_pool, greedy_k_center, take


def on_a_line(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)[:, None]


def test_farthest_points_on_a_line_are_chosen_first_and_the_first_of_equals() -> None:
    # Squared distances to the nearest center, seed 0:  0 1 4 9 100 -> index 4
    # beside 10:  0 1 4 9 0 -> index 3;  beside 3:  0 1 1 0 0, a tie -> index 1;  beside 1:  0 0 1 0 0 -> index 2
    # Nothing is left: index 0 repeats.
    chosen = greedy_k_center(on_a_line(0, 1, 2, 3, 10), on_a_line(0), 7)
    assert chosen.tolist() == [4, 3, 1, 2, 0, 0, 0]


def test_seeds_shape_the_distances_and_are_never_chosen() -> None:
    # Seeds at 0 and 10:  0 16 25 16 0 -> index 2;  beside 5:  0 1 0 1 0, a tie -> index 1;  then index 3.
    points = on_a_line(0, 4, 5, 6, 10)
    assert greedy_k_center(points, on_a_line(0, 10), 3).tolist() == [2, 1, 3]
    # Without the seed at 10 the point there is chosen itself, and the rest follows as before.
    assert greedy_k_center(points, on_a_line(0), 3).tolist() == [4, 2, 1]


def test_corners_of_a_square_come_before_its_center() -> None:
    # Zeros as seeds, so the longest point (2, 2) comes first; then both other corners have 4, and the center 2.
    square = torch.tensor([[0.0, 0], [2, 0], [0, 2], [2, 2], [1, 1]])
    assert greedy_k_center(square, torch.zeros(3, 2), 4).tolist() == [3, 1, 2, 4]


def test_equal_points_count_as_chosen_together() -> None:
    points = on_a_line(1, 5, 5, 5, 2)
    assert greedy_k_center(points, on_a_line(0), 4).tolist() == [1, 4, 0, 0]


def test_classes_do_not_see_each_other() -> None:
    source = torch.Generator().manual_seed(0)
    points, seeds = torch.randn(5, 9, 3, generator=source), torch.randn(5, 2, 3, generator=source)
    together = greedy_k_center(points, seeds, 4)
    for row in range(5):
        assert torch.equal(together[row], greedy_k_center(points[row], seeds[row], 4))
        assert torch.equal(take(points, together)[row], points[row, together[row]])


def test_the_covering_radius_is_the_distance_of_the_point_that_is_worst_off() -> None:
    points = on_a_line(0, 1, 2, 3, 10)
    assert covering_radius(points, on_a_line(3, 10)).item() == 3
    assert covering_radius(points, on_a_line(0, 3, 10)).item() == 1
    square = torch.tensor([[[0.0, 0], [3, 4]], [[6.0, 8], [0, 0]]])
    assert covering_radius(square, torch.zeros(2, 1, 2)).tolist() == [5, 10]


def test_greedy_centers_cover_at_most_twice_as_badly_as_the_best_ones() -> None:
    """Gonzalez 1985; the seed is one of the centers."""
    for seed in range(5):
        points = torch.randn(8, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        chosen = torch.cat([torch.tensor([0]), greedy_k_center(points, points[:1], 2)])
        best = min(covering_radius(points, points[list(three)]).item() for three in combinations(range(8), 3))
        assert best <= covering_radius(points, points[chosen]).item() <= 2 * best


@pytest.mark.parametrize(
    ("points", "seeds", "k", "message"),
    [
        ((4,), (4,), 1, "expected points"),
        ((4, 2), (1, 1, 2), 1, "expected points"),
        ((4, 2), (1, 3), 1, "dimension D"),
        ((2, 4, 2), (3, 1, 2), 1, "classes"),
        ((0, 2), (1, 2), 1, "no points or no centers"),
        ((4, 2), (0, 2), 1, "no points or no centers"),
        ((4, 2), (1, 2), 0, "k is 0"),
    ],
)
def test_what_has_no_centers_is_refused(points: tuple[int], seeds: tuple[int], k: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        greedy_k_center(torch.zeros(points), torch.zeros(seeds), k)


LABELS = np.array([7, 3, 3, 7, 3, 5, 7, 3])


def test_a_pool_holds_different_images_of_every_class() -> None:
    drawn = draw_pool(LABELS, 3, np.random.default_rng(0))
    assert (drawn.shape, drawn.dtype) == ((3, 3), np.int64)
    assert [set(LABELS[row]) for row in drawn] == [{3}, {5}, {7}]
    assert len(set(drawn[0])) == len(set(drawn[2])) == 3


def test_a_small_class_gives_all_its_images_before_one_comes_again() -> None:
    drawn = draw_pool(LABELS, 7, np.random.default_rng(1))
    assert drawn[1].tolist() == [5] * 7
    for round_ in (drawn[2, :3], drawn[2, 3:6]):
        assert sorted(round_) == [0, 3, 6]


def test_a_pool_is_a_function_of_its_generator() -> None:
    labels = np.repeat(np.arange(4), 30)
    draws = [draw_pool(labels, 5, np.random.default_rng(seed)) for seed in (0, 0, 1)]
    assert np.array_equal(draws[0], draws[1])
    assert not np.array_equal(draws[0], draws[2])


def test_a_pool_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="a pool of 0 images per class"):
        draw_pool(LABELS, 0, np.random.default_rng(0))
    with pytest.raises(ValueError, match="from 0 images"):
        draw_pool(LABELS[:0], 1, np.random.default_rng(0))


def test_the_distance_of_classes_is_that_of_their_means() -> None:
    points = torch.tensor([[[0.0, 0], [2, 0]], [[4, 0], [4, 0]], [[1, 5], [1, 7]]])
    assert class_distance(points).tolist() == [3, 3, 6]
