"""Equal items are found by hashes of their rows, score the same to the last bit, and hashes alone change nothing."""

import pytest
import torch

from trainables.evaluation import retrieval
from trainables.evaluation.retrieval import Distance, scorer


def rows(count: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    source = torch.Generator().manual_seed(0)
    return torch.randn(count, 33, generator=source, dtype=torch.float64).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("distance", ["cosine", "euclidean", "lipschitz"])
def test_equal_items_score_the_same(distance: Distance, dtype: torch.dtype) -> None:
    items = rows(2500, dtype)
    items[:, 7] = 0
    items[2499], items[1030] = items[3], items[2]
    items[2499, 7] = -0.0
    scores = scorer(items, distance)(items[:50])
    assert torch.equal(scores[:, 2499], scores[:, 3])
    assert torch.equal(scores[:, 1030], scores[:, 2])
    assert scores[:, 2499].isfinite().all()


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
def test_rows_that_only_seem_equal_change_no_bit(distance: Distance, monkeypatch: pytest.MonkeyPatch) -> None:
    items = rows(2500)
    expected = scorer(items, distance)(items[:50])
    monkeypatch.setattr(retrieval, "_surely_distinct", lambda vectors: False)
    assert torch.equal(scorer(items, distance)(items[:50]), expected)


def test_rows_that_differ_in_their_last_bit_are_distinct() -> None:
    items = rows(2000)
    near = torch.nextafter(items, torch.tensor(torch.inf))
    assert retrieval._surely_distinct(torch.cat([items, near]))
    assert not retrieval._surely_distinct(torch.cat([items, near[:1], near[:1]]))
    assert retrieval._surely_distinct(torch.arange(4096.0).view(64, 64).repeat(1, 3)), "rows that share no number"
