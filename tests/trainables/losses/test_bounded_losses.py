"""Losses over many classes never hold all logits at once, and are the same function then."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from trainables.batch import Batch
from trainables.losses import bounded
from trainables.losses.module import BaseLoss
from trainables.losses.registry import LOSSES
from trainables.synthesis.l2a_terms import divergence

WITH_CLASSES = sorted(name for name, loss in LOSSES.items() if loss.has_proxies)
ROWS, CLASSES, WIDTH = 24, 60, 16


def loss_and_gradients(name: str, *, excluded: bool) -> tuple[Tensor, ...]:
    source = torch.Generator().manual_seed(0)
    config = LOSSES[name]()
    loss = BaseLoss(config, num_classes=CLASSES, embedding_dim=WIDTH, seed=0).double()
    embeddings = torch.randn(ROWS, WIDTH, generator=source, dtype=torch.float64).requires_grad_()
    labels = torch.randint(0, CLASSES, (ROWS,), generator=source)
    left_out = torch.rand(ROWS, CLASSES, generator=source) < 0.3
    left_out[torch.arange(ROWS), labels] = False
    value = loss(Batch(embeddings, labels, loss.classes, left_out if excluded else None))
    value.backward()
    assert embeddings.grad is not None
    return value.detach(), embeddings.grad, *(each.grad for each in loss.parameters() if each.grad is not None)


@pytest.mark.parametrize("name", WITH_CLASSES)
@pytest.mark.parametrize("excluded", [False, True])
@pytest.mark.parametrize("limit", [1, 7 * CLASSES, 10 * ROWS * 10 - 1])
def test_pieces_give_the_same_loss_and_gradients(
    name: str, excluded: bool, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pieces of one row, of several, and unequal ones; 1e-12 is the rounding of sums of 24 terms in float64."""
    if excluded and not LOSSES[name].is_softmax:
        pytest.skip(f"{name} leaves no classes out")
    whole = loss_and_gradients(name, excluded=excluded)
    monkeypatch.setattr(bounded, "LIMIT", limit)
    pieces = loss_and_gradients(name, excluded=excluded)
    assert len(whole) == len(pieces) >= 3
    for one, other in zip(whole, pieces, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


class Largest(TorchDispatchMode):
    """Remembers the largest tensor that any operation gives."""

    def __init__(self) -> None:
        super().__init__()
        self.entries = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        for each in result if isinstance(result, tuple | list) else [result]:
            if isinstance(each, Tensor):
                self.entries = max(self.entries, each.numel())
        return result


@pytest.mark.parametrize("name", WITH_CLASSES)
def test_no_matrix_exceeds_the_limit(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """256 rows by 200 classes: 51,200 logits (ten times as many with soft_triple)."""
    limit = 4096
    monkeypatch.setattr(bounded, "LIMIT", limit)
    loss = BaseLoss(LOSSES[name](), num_classes=200, embedding_dim=4, seed=0)
    embeddings = torch.randn(256, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    labels = torch.arange(256) % 200
    with Largest() as seen:
        loss(Batch(embeddings, labels, loss.classes)).backward()
    assert loss.proxies is not None
    padding = 2 * 200 if name == "proxy_anchor" else 0  # a row of zeros for the 1 in log(1 + ...)
    own = 10 * 200 * 10 if name == "soft_triple" else 0  # products of each class's centers
    assert seen.entries <= max(limit + padding, loss.proxies.numel(), own)


def test_up_to_the_limit_nothing_is_computed_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setattr(bounded, "checkpoint", lambda *arguments, **options: calls.append(arguments))
    for name in WITH_CLASSES:
        loss_and_gradients(name, excluded=False)
    assert calls == []


def test_the_divergence_of_many_novel_classes_is_one_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """80 GB at 100,000 seen and as many novel classes, all at once."""

    def value_and_gradient() -> tuple[Tensor, Tensor]:
        source = torch.Generator().manual_seed(0)
        seen = torch.randn(30, WIDTH, generator=source, dtype=torch.float64)
        novel = torch.randn(20, WIDTH, generator=source, dtype=torch.float64).requires_grad_()
        value = divergence(novel, seen, centers_per_class=2)
        value.backward()
        assert novel.grad is not None
        return value.detach(), novel.grad

    whole = value_and_gradient()
    monkeypatch.setattr(bounded, "LIMIT", 130)
    with Largest() as seen:
        pieces = value_and_gradient()
    assert seen.entries <= 50 * WIDTH, "proxies, but not their products"
    for one, other in zip(whole, pieces, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)
