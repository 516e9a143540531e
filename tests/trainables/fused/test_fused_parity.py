"""Runs that train together are what they would be by themselves, up to rounding."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from fused_runs import CONV4, HEAD, largest_difference, run_of, trained

from trainables.config import RunConfig
from trainables.fused.rules import fusing_key, own_numbers, refusal
from trainables.losses import bounded
from trainables.losses.registry import LOSSES
from trainables.synthesis.proxy_synthesis import ProxySynthesis as Drawing
from trainables.testing.runs import changed

STEPS_50 = 10
LOSS_NAMES = sorted(name for name, loss in LOSSES.items() if loss().fuses)
# Rates at which training is no chaos: that would make any rounding large within 50 steps.
OPTIMIZERS: list[dict[str, Any]] = [
    {"name": "adam", "lr": 1e-3},
    {"name": "adamw", "lr": 1e-3, "weight_decay": 0.1},
    {"name": "sgd", "lr": 1e-4, "nesterov": True},
    {"name": "sgd", "lr": 1e-4, "momentum": 0.0},
    {"name": "rmsprop", "lr": 1e-4, "momentum": 0.5},
    {"name": "rmsprop", "lr": 1e-4},
]
VARIANTS: list[dict[str, Any]] = [
    {"compat": "official", "ratio": 0.7},
    {"pairing": "permutation", "ratio": 1.5},
    {"mixing": "pair", "synthetic_classes": "pair"},
    {"synthesize": "proxies"},
    {"synthesize": "embeddings", "mixing": "pair"},
]


def unlike(run: RunConfig) -> list[RunConfig]:
    """The run and one that differs from it in every number in which fused runs may."""
    own = {key: getattr(run.loss, key) for key in own_numbers(run.loss)}
    mixing = {"mixup_alpha": 2.0} if run.synthesis.name == "proxy_synthesis" else {}
    other = changed(
        run,
        seed=1,
        loss={key: value * 0.8 for key, value in own.items()},
        synthesis=mixing,
        optimizer={
            "lr": run.optimizer.lr * 3,
            "weight_decay": 0.01,
            "proxy_lr_multiplier": 5,
            "head_lr_multiplier": 0.5,
        },
        training={"lr_warmup_epochs": 2},
        schedule="cosine",
    )
    assert fusing_key(run) == fusing_key(other)
    assert refusal(run) is refusal(other) is None
    return [run, other]


def assert_parity(run: RunConfig, cache: Path, *, epochs: int = STEPS_50) -> None:
    together, alone, losses = trained(unlike(run), cache=cache, epochs=epochs)
    assert max(abs(one - other) / max(1, abs(other)) for one, other in losses) < 1e-9
    assert max(map(largest_difference, together, alone)) < 1e-9
    assert largest_difference(together[0], together[1]) > 1e-3, "they are different runs"


@pytest.mark.parametrize("synthesis", ["none", "proxy_synthesis"])
@pytest.mark.parametrize("loss", LOSS_NAMES)
def test_every_loss(private_cache: Path, loss: str, synthesis: str) -> None:
    centers = {"centers_per_class": 3} if loss == "soft_triple" else {}
    run = run_of(private_cache, loss={"name": loss, **centers}, synthesis=synthesis, optimizer={"lr": 1e-3})
    assert_parity(run, private_cache)


@pytest.mark.parametrize("loss", ["norm_softmax", "proxy_anchor"])
def test_losses_that_a_single_run_computes_in_pieces(
    private_cache: Path, loss: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pieces are the same up to rounding, and a stack has none."""
    monkeypatch.setattr(bounded, "LIMIT", 64)
    assert_parity(run_of(private_cache, loss=loss, optimizer={"lr": 1e-3}), private_cache, epochs=1)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
def test_every_optimizer(private_cache: Path, optimizer: dict[str, Any]) -> None:
    assert_parity(run_of(private_cache, optimizer=optimizer), private_cache)


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
@pytest.mark.parametrize("synthesis", ["none", "proxy_synthesis"])
@pytest.mark.parametrize("loss", LOSS_NAMES)
def test_every_optimizer_with_every_loss(
    private_cache: Path, loss: str, synthesis: str, optimizer: dict[str, Any]
) -> None:
    assert_parity(run_of(private_cache, loss=loss, synthesis=synthesis, optimizer=optimizer), private_cache)


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
@pytest.mark.parametrize("loss", ["cosface", "proxy_anchor", "soft_triple"])
def test_every_variant_of_proxy_synthesis(private_cache: Path, loss: str, variant: dict[str, Any]) -> None:
    synthesis = {"name": "proxy_synthesis", **variant}
    assert_parity(run_of(private_cache, loss=loss, synthesis=synthesis), private_cache, epochs=1)


def test_batches_that_are_filled_up_are_among_them(private_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The runs draw different numbers of synthetic classes, or the tests above would prove little."""
    counts, draw = [], Drawing.draw

    def counted(self: Drawing, *arguments: Any) -> Any:
        found = draw(self, *arguments)
        counts.append(len(found.pairs.first_class))
        return found

    monkeypatch.setattr(Drawing, "draw", counted)
    run = run_of(private_cache, synthesis="proxy_synthesis", sampler="shuffled")
    trained(unlike(run), cache=private_cache, epochs=1)
    assert len(set(counts)) > 2
    assert min(counts) < 16


@pytest.mark.parametrize("clipping", [{"clip_norm": 0.1}, {"clip_value": 0.01}, {"clip_norm": 0.1, "clip_value": 0.01}])
def test_clipping(private_cache: Path, clipping: dict[str, float]) -> None:
    run = run_of(private_cache, optimizer={"name": "sgd", "lr": 0.1})
    assert_parity(changed(run, training=clipping), private_cache, epochs=2)


@pytest.mark.parametrize("batch_norm", ["train", "frozen_statistics", "frozen"])
def test_a_network_with_batch_norm(private_cache: Path, batch_norm: str) -> None:
    """Its statistics are among the tensors that are compared; the backbone is frozen in the first epoch."""
    run = run_of(
        private_cache,
        backbone={**CONV4, "batch_norm": batch_norm},
        synthesis="proxy_synthesis",
        augmentation={"crop_scale": [0.6, 1.0], "flip": True},
    )
    assert_parity(changed(run, training={"warmup_epochs": 1, "clip_norm": 1.0}), private_cache, epochs=2)


@pytest.mark.parametrize("backbone", [HEAD, CONV4], ids=["head", "conv4"])
@pytest.mark.parametrize("loss", LOSS_NAMES)
def test_the_first_step_in_single_precision(private_cache: Path, loss: str, backbone: dict[str, Any]) -> None:
    run = run_of(private_cache, backbone=backbone, loss=loss, synthesis="proxy_synthesis", optimizer={"name": "sgd"})
    first = changed(run, training={"steps_per_epoch": 1})
    together, alone, losses = trained(unlike(first), cache=private_cache, dtype=torch.float32, epochs=1)
    assert all(math.isclose(one, other, rel_tol=1e-5) for one, other in losses)
    for one, other in zip(together, alone, strict=True):
        assert largest_difference(one, other, parts=("model", "loss")) < 1e-5


def test_half_precision(private_cache: Path) -> None:
    run = changed(run_of(private_cache, backbone=CONV4), training={"precision": "bfloat16"})
    together, alone, losses = trained(unlike(run), cache=private_cache, dtype=torch.float32, epochs=1)
    assert all(math.isclose(one, other, rel_tol=0.01) for one, other in losses)
    assert all(fit.model.head.weight.dtype == torch.float32 for fit in (*together, *alone))
