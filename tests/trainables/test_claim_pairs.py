"""Claims as text, and the cells that they compare."""

import pytest

from trainables.claims import claimed_pairs, split_claim


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a > b on map_at_r", ("a", "b", "map_at_r")),
        (" a > b > c on d on recall_at_1 ", ("a > b", "c on d", "recall_at_1")),
        ("x > y on map_at_r", ("x", "y", "map_at_r")),  # unknown names are the caller's to refuse
        ("a beats b on map_at_r", None),
        ("a > b", None),
        (" > b on map_at_r", None),
    ],
)
def test_split(text: str, expected: tuple[str, str, str] | None) -> None:
    assert split_claim(text, ["a", "b", "a > b", "c on d"]) == expected


def test_the_method_with_more_axes_meets_the_other_one_on_those_that_they_share() -> None:
    few = {0: {"dataset": "x"}, 1: {"dataset": "y"}}
    many = {2: {"dataset": "x", "ratio": 1}, 3: {"dataset": "x", "ratio": 2}, 4: {"dataset": "z", "ratio": 1}}
    assert claimed_pairs(many, few) == [(2, 0), (3, 0)]
    assert claimed_pairs(few, many) == [(0, 2), (0, 3)]


def test_equal_axes_make_each_pair_once() -> None:
    left, right = {0: {"dataset": "x", "ratio": 1}}, {1: {"dataset": "x", "ratio": 1}, 2: {"dataset": "x", "ratio": 2}}
    assert claimed_pairs(left, right) == [(0, 1)]
