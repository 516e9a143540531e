"""What MemVir remembers: copies, how much of them, and what is refused before memory ends."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from memvir_problem import built

from trainables.batch import Batch
from trainables.classes import Classes
from trainables.errors import ConfigError
from trainables.losses import functional as F
from trainables.losses.config import NormSoftmax
from trainables.parts import identity
from trainables.step import Step
from trainables.synthesis import functional as S
from trainables.synthesis.base import Space
from trainables.synthesis.memory_config import MemVir as Config
from trainables.synthesis.memvir import MemVir
from trainables.synthesis.snapshots import snapshot


def test_gradients_reach_the_present_alone() -> None:
    x, y, w = torch.randn(3, 4).requires_grad_(), torch.tensor([0, 1, 1]), torch.randn(2, 4).requires_grad_()
    past = torch.randn(2, 4).requires_grad_(), torch.tensor([1, 0]), torch.randn(2, 4).requires_grad_()
    entry = snapshot(past[0], past[1], Classes(past[2]))
    assert not entry.embeddings.requires_grad
    assert not entry.weights.requires_grad
    rows, labels, proxies = S.memvir(x, y, w, [entry], steps=1, gap=0)
    F.norm_softmax(rows, labels, proxies).backward()
    assert x.grad is not None
    assert w.grad is not None
    assert x.grad.any(dim=1).all()
    assert w.grad.any(dim=1).all()
    assert past[0].grad is None
    assert past[2].grad is None


def test_what_is_kept_is_a_copy_of_what_is_needed() -> None:
    x, y, w = torch.randn(3, 4) * 5, torch.tensor([0, 1, 1]), torch.randn(2, 4)
    whole = snapshot(x, y, Classes(w))
    torch.testing.assert_close(whole.embeddings.norm(dim=1), torch.ones(3))
    kept = w.clone()
    w.zero_()
    assert torch.equal(whole.weights, kept)
    raw = snapshot(x, y, Classes(kept, torch.tensor([1.0, 2.0])))
    assert torch.equal(raw.embeddings, x)
    assert raw.bias is not None
    assert raw.bias.tolist() == [1, 2]
    negatives = snapshot(x, y, Classes(kept), memory="weights")
    assert (len(negatives.embeddings), len(negatives.labels), len(negatives.weights)) == (0, 0, 2)
    positives = snapshot(x, y, Classes(kept), memory="embeddings")
    assert (len(positives.embeddings), len(positives.labels), len(positives.weights)) == (3, 3, 0)
    for tensor in (negatives.embeddings, positives.weights):
        assert tensor.untyped_storage().nbytes() == 0  # a view would hold, and save, the whole


def test_excluded_classes_stay_excluded() -> None:
    synthesis, base = built(NormSoftmax(), classes=2, dim=2, steps=1, gap=0)
    x, y = torch.eye(2, dtype=torch.float64), torch.tensor([0, 1])
    excluded = torch.tensor([[False, True], [False, False]])
    for index in range(2):
        enlarged = synthesis.enlarge(Batch(x, y, base.classes, excluded=excluded), Step(0, 0, index))
    assert enlarged.excluded is not None
    assert enlarged.excluded.tolist() == [[False, True, False, False]] + [[False] * 4] * 3


def test_impossible_arguments_are_refused() -> None:
    x, y, w = torch.randn(2, 3), torch.tensor([0, 1]), torch.randn(2, 3)
    for steps, gap in ((0, 1), (-1, 1), (1, -1)):
        with pytest.raises(ValueError, match="steps of at least 1"):
            S.memvir(x, y, w, [], steps=steps, gap=gap)
    with pytest.raises(ValueError, match=r"outside 0\.\.1"):
        S.memvir(x, y + 1, w, [], steps=1, gap=0)
    for fields in ({"steps": 0}, {"steps": -1}, {"gap": -1}, {"warmup_epochs": -1}):
        with pytest.raises(ValueError, match="greater than or equal"):
            Config.model_validate(fields)


def test_a_state_of_another_queue_is_refused() -> None:
    long, base = built(NormSoftmax(), classes=2, dim=2, steps=3, gap=0)
    for index in range(3):
        long.enlarge(Batch(torch.eye(2), torch.tensor([0, 1]), base.classes), Step(0, 0, index))
    short, _ = built(NormSoftmax(), classes=2, dim=2, steps=2, gap=0)
    with pytest.raises(ValueError, match="3 steps, and 2 fit"):
        short.load_state_dict(long.state_dict())


class TestMemory:
    """495 past steps of N = 45, M = 10: 4 bytes for each number, 8 for each label."""

    def test_sop_does_not_fit(self) -> None:
        """495 * 11318 proxies * 512 * 4 bytes = 11,473,735,680 are known before the first batch."""
        with pytest.raises(ConfigError, match=r"11473735680\s*bytes.*memory_limit is 4294967296.*fewer steps"):
            MemVir(Config(), Space(num_classes=11318, embedding_dim=512))
        with pytest.raises(ConfigError, match=r"113180 proxies"):
            MemVir(Config(), Space(num_classes=11318, embedding_dim=512, centers_per_class=10))
        MemVir(Config(memory="embeddings"), Space(num_classes=11318, embedding_dim=512))
        MemVir(Config(steps=5), Space(num_classes=11318, embedding_dim=512))
        MemVir(Config(memory_limit=12 * 10**9), Space(num_classes=11318, embedding_dim=512))

    def test_cars_fits(self) -> None:
        """495 * (98 proxies + 128 embeddings) * 512 * 4 + 495 * 128 * 8 = 229,616,640 bytes in the queue, and logits
        of 46 * 128 rows and 46 * 98 classes: 106,172,416 bytes."""
        total = 229_616_640 + 106_172_416
        known = {"proxies": 98, "embedding_dim": 512, "batch_size": 128}
        assert Config(memory_limit=total).too_large(**known) is None
        refused = Config(memory_limit=total - 1).too_large(**known)
        assert refused is not None
        assert "229616640 bytes" in refused
        assert "106172416 bytes" in refused

    def test_rows_are_counted_with_the_first_batch(self) -> None:
        """2 steps of 2 proxies * 2 numbers * 4 bytes = 32; with 2 embeddings and labels 96, and 6 * 6 logits 144."""
        synthesis, base = built(NormSoftmax(), classes=2, dim=2, steps=2, gap=0, memory_limit=239)
        batch = Batch(torch.eye(2), torch.tensor([0, 1]), base.classes)
        with pytest.raises(ConfigError, match=r"96 bytes.*144 bytes"):
            synthesis.enlarge(batch, Step(0, 0, 0))
        built(NormSoftmax(), classes=2, dim=2, steps=2, gap=0, memory_limit=240)[0].enlarge(batch, Step(0, 0, 0))

    def test_rows_alone_are_refused_with_the_configuration(self) -> None:
        assert "495 past steps of 128 embeddings of 64 dimensions" in (refusal(Config(memory_limit=10**6)) or "")
        assert refusal(Config(memory_limit=10**6, memory="weights")) is None


def refusal(config: Config, *, loss: Any = None, epochs: int = 100) -> str | None:
    training = SimpleNamespace(epochs=epochs, batch_size=128)
    run = SimpleNamespace(loss=loss or NormSoftmax(), embedding_dim=64, training=training)
    return config.refusal(run)


def test_refusals_say_what_would_be_possible() -> None:
    assert refusal(Config()) is None
    without = refusal(Config(), loss=SimpleNamespace(name="triplet", has_proxies=False)) or ""
    assert "'triplet'" in without
    assert "xbm" in without
    assert "norm_softmax" in without
    assert refusal(Config(warmup_epochs=19), epochs=20) is None
    assert "shorter warm-up" in (refusal(Config(warmup_epochs=20), epochs=20) or "")


def test_grace() -> None:
    """63 steps an epoch: 495 steps are 7.9 epochs, 520 steps 8.3."""
    published = Config(warmup_epochs=40)
    assert (published.capacity, published.grace_epochs, published.grace_epochs_at(63)) == (495, 41, 48)
    assert Config(steps=20, gap=25, warmup_epochs=40).grace_epochs_at(63) == 49


def test_identity_leaves_out_what_cannot_matter() -> None:
    assert identity(Config(memory_limit=1)) == identity(Config())
    assert Config(memory="weights", reduction="mean_current").simplified() == Config(memory="weights")
    assert Config(steps=1, curriculum="jump").simplified() == Config(steps=1)
    assert Config(curriculum="jump", reduction="mean_current").simplified() != Config()
