"""Items that search one another are multiplied once per pair; no bit of any metric depends on it."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from trainables.evaluation import mutual, ranking, retrieval_report
from trainables.evaluation.mutual import DEEPEST, Candidates, nearest_of_one_another
from trainables.evaluation.scoring import scorer


def embedded(count: int, classes: int = 900, *, dim: int = 40) -> tuple[Tensor, Tensor]:
    source = torch.Generator().manual_seed(count)
    labels = torch.randint(classes, (count,), generator=source)
    return torch.randn(classes, dim, generator=source)[labels] + 2 * torch.randn(count, dim, generator=source), labels


def off(*_: object, **__: object) -> None:
    """Every query searches for itself."""


@pytest.fixture
def multiplied(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many products each block has."""
    sizes: list[int] = []
    real = mutual.products

    def counted(queries: Tensor, items: Tensor) -> Tensor:
        sizes.append(len(queries) * len(items))
        return real(queries, items)

    monkeypatch.setattr(mutual, "products", counted)
    return sizes


@pytest.mark.parametrize(("items", "count"), [(4096, 2), (4097, 12), (6500, DEEPEST)])
def test_candidates_have_the_bits_of_whole_rows(items: int, count: int, multiplied: list[int]) -> None:
    vectors, _ = embedded(items)
    found = nearest_of_one_another(vectors, count, distance="cosine")
    assert found is not None
    scores_of = scorer(vectors, "cosine")
    for rows in torch.split(torch.arange(items), 500):
        scores = scores_of(vectors[rows])
        scores[torch.arange(len(rows)), rows] = -torch.inf
        expected = scores.topk(count, dim=1)
        assert torch.equal(found.values[rows], expected.values)
        assert torch.equal(scores.gather(1, found.index[rows]), expected.values)
    blocks = -(-items // 2048)
    assert sum(multiplied) < items**2 * (0.5 + 0.51 / blocks)


@pytest.mark.parametrize("ks", [(1,), (1, 2, 4, 8), (1, 10, 19)])
def test_metrics_are_those_of_queries_by_themselves(
    ks: tuple[int, ...], monkeypatch: pytest.MonkeyPatch, multiplied: list[int]
) -> None:
    vectors, labels = embedded(4500)
    halved = retrieval_report(vectors, labels, ks=ks)
    assert multiplied
    monkeypatch.setattr(ranking, "nearest_of_one_another", off)
    assert retrieval_report(vectors, labels, ks=ks) == halved


def test_autocast_is_left_outside(multiplied: list[int]) -> None:
    vectors, labels = embedded(4200)
    expected = retrieval_report(vectors, labels)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert retrieval_report(vectors, labels) == expected
    assert multiplied


def test_ties_beyond_the_candidates_are_counted(monkeypatch: pytest.MonkeyPatch, multiplied: list[int]) -> None:
    """Points of a grid: all are distinct, and most of their cosines are equal."""
    points = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0])] * 13)[:4200]
    labels = torch.arange(4200) % 1400
    halved = retrieval_report(points, labels, ks=(1, 19))
    assert multiplied
    monkeypatch.setattr(ranking, "nearest_of_one_another", off)
    assert retrieval_report(points, labels, ks=(1, 19)) == halved
    assert halved.metrics["recall_at_1"] == 0


def with_a_repetition(vectors: Tensor) -> Tensor:
    vectors[-1] = vectors[0]
    return vectors


@pytest.mark.parametrize(
    ("change", "count", "distance"),
    [
        (lambda vectors: vectors[:4095], 2, "cosine"),
        (lambda vectors: vectors.double(), 2, "cosine"),
        (with_a_repetition, 2, "cosine"),
        (lambda vectors: vectors, DEEPEST + 1, "cosine"),
        (lambda vectors: vectors, 2, "euclidean"),
        (lambda vectors: vectors, 2, "lipschitz"),
    ],
)
def test_where_nothing_is_gained_or_bits_would_change(
    change: Callable[[Tensor], Tensor], count: int, distance: str, multiplied: list[int]
) -> None:
    vectors, _ = embedded(4200)
    assert nearest_of_one_another(change(vectors), count, distance=distance) is None  # type: ignore[arg-type]
    assert not multiplied


def test_a_gallery_of_others_is_searched_query_by_query(multiplied: list[int]) -> None:
    vectors, labels = embedded(4200)
    retrieval_report(vectors, labels, gallery=vectors + 1, gallery_labels=labels, ks=(1,))
    assert not multiplied


def test_candidates_are_taken_up_block_by_block() -> None:
    """Scores 3, 1 of items 4, 5; then 2, 4 of items 0, 1: the best two are item 1's and item 4's."""
    kept = Candidates(torch.full((1, 2), -torch.inf), torch.zeros(1, 2, dtype=torch.int64))
    kept.improve(slice(0, 1), torch.tensor([[3.0, 1.0]]), 4)
    kept.improve(slice(0, 1), torch.tensor([[2.0, 4.0]]), 0)
    assert (kept.values.tolist(), kept.index.tolist()) == ([[4.0, 3.0]], [[1, 4]])
