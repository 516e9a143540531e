"""Equal items are found by hashes of their rows, score the same to the last bit, and hashes alone change nothing."""

import pytest
import torch

from trainables.evaluation import scoring
from trainables.evaluation.scoring import Distance, scorer


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
    monkeypatch.setattr(scoring, "surely_distinct", lambda vectors: False)
    assert torch.equal(scorer(items, distance)(items[:50]), expected)


def test_rows_that_differ_in_their_last_bit_are_distinct() -> None:
    items = rows(2000)
    near = torch.nextafter(items, torch.tensor(torch.inf))
    assert scoring.surely_distinct(torch.cat([items, near]))
    assert not scoring.surely_distinct(torch.cat([items, near[:1], near[:1]]))
    assert scoring.surely_distinct(torch.arange(4096.0).view(64, 64).repeat(1, 3)), "rows that share no number"


@pytest.mark.parametrize("items", [1024, 1025, 2047, 2049, 5000])
@pytest.mark.parametrize("queries", [1, 31, 32, 300])
def test_products_by_blocks_have_the_bits_of_one_product(items: int, queries: int) -> None:
    vectors = torch.nn.functional.normalize(rows(items))
    asked = vectors[:queries]
    assert torch.equal(scoring.products(asked, vectors), asked @ vectors.T)


def test_products_are_taken_by_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of equal width, the last one too; in double precision, where bits would change, at once."""
    widths, real = [], torch.Tensor.__matmul__

    def counted(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        widths.append(other.shape[1])
        return real(one, other)

    monkeypatch.setattr(torch.Tensor, "__matmul__", counted)
    for dtype in (torch.float32, torch.float64):
        scoring.products(rows(40, dtype), rows(2500, dtype))
    assert widths == [1024, 1024, 1024, 2500]
