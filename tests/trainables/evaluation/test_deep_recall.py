"""Recall at great depths counts what is before the nearest relevant item; only R + 1 items of a query are sorted."""

import pytest
import torch
from torch import Tensor

from trainables.evaluation import retrieval_metrics
from trainables.evaluation.scores import score

KS = (1, 10, 100, 1000)


def embedded(rows: int = 1500, classes: int = 500) -> tuple[Tensor, Tensor]:
    source = torch.Generator().manual_seed(0)
    labels = torch.arange(rows) % classes
    return torch.randn(rows, 4, generator=source) + torch.randn(classes, 4, generator=source)[labels], labels


def first_ranks(scores: Tensor, labels: Tensor, gallery_labels: Tensor) -> Tensor:
    """By sorting everything, wrong items first where they tie."""
    wrong = gallery_labels != labels[:, None]
    order = torch.sort(wrong.to(scores), dim=1, descending=True, stable=True).indices
    order = order.gather(1, torch.sort(scores.gather(1, order), dim=1, descending=True, stable=True).indices)
    return (~wrong).gather(1, order).float().argmax(dim=1) + 1


@pytest.fixture
def sorted_depths(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    depths: list[int] = []
    real = torch.Tensor.topk

    def counted(values: Tensor, k: int, dim: int = -1) -> object:
        depths.append(k)
        return real(values, k, dim)

    monkeypatch.setattr(torch.Tensor, "topk", counted)
    return depths


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("with_gallery", [False, True])
def test_equals_sorting(tied: bool, with_gallery: bool, sorted_depths: list[int]) -> None:
    """Corners of a cube tie to the last bit: their cosines are multiples of 1/4."""
    vectors, labels = embedded()
    others = torch.randn(len(vectors), 4, generator=torch.Generator().manual_seed(1))
    if tied:
        vectors, others = vectors.sign(), others.sign()
    items, item_labels = (others, labels.flip(0)) if with_gallery else (vectors, labels)
    scores = torch.nn.functional.normalize(vectors) @ torch.nn.functional.normalize(items).T
    if not with_gallery:
        scores.fill_diagonal_(-2)
    expected = first_ranks(scores, labels, item_labels)
    assert 500 < (expected > 100).sum() < 1400
    gallery = (items, item_labels) if with_gallery else (None, None)
    found = retrieval_metrics(vectors, labels, gallery=gallery[0], gallery_labels=gallery[1], ks=KS)
    assert [found[f"recall_at_{k}"] for k in KS] == [float((expected <= k).double().mean()) for k in KS]
    assert set(sorted_depths) == {4 if with_gallery else 3}


def test_reciprocal_ranks_sort_as_little(sorted_depths: list[int]) -> None:
    vectors, labels = embedded()
    unit = torch.nn.functional.normalize(vectors)
    expected = first_ranks((unit @ unit.T).fill_diagonal_(-2), labels, labels)
    assert score(vectors, labels, metrics=["mrr"])["mrr"] == pytest.approx(expected.double().reciprocal().mean())
    assert set(sorted_depths) == {3}
