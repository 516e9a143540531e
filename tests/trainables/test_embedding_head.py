"""Variants of the embedding head."""

import math
from typing import Any

import pytest
import torch
from torch import nn

from trainables.config import RunConfig
from trainables.head_config import Head
from trainables.model import EmbeddingHead, build_model
from trainables.randomness import isolated_rng


def head_of(features: int = 64, width: int = 16, seed: int = 0, **settings: Any) -> EmbeddingHead:
    run = RunConfig(embedding_dim=width, head=Head(**settings), seed=seed)
    head = build_model(run, channels=1, feature_dim=features).head
    assert isinstance(head, EmbeddingHead)
    return head


def test_the_default_is_torch_s_linear_layer_of_the_same_seed() -> None:
    with isolated_rng(3, "head"):
        expected = nn.Linear(64, 16)
    state = head_of(seed=3).state_dict()
    assert set(state) == {"weight", "bias"}
    assert all(torch.equal(value, expected.state_dict()[key]) for key, value in state.items())
    features = torch.rand(5, 64)
    assert torch.equal(head_of(seed=3)(features), expected(features))


def test_without_bias_nothing_maps_to_nothing() -> None:
    head = head_of(bias=False)
    assert set(head.state_dict()) == {"weight"}
    assert head(torch.zeros(2, 64)).abs().max() == 0


def test_the_layer_norm_has_no_weights_and_takes_out_mean_and_scale() -> None:
    head = head_of(layer_norm="before").double()
    assert set(head.state_dict()) == {"weight", "bias"}
    features = torch.rand(5, 64, dtype=torch.float64)
    mean, variance = features.mean(1, keepdim=True), features.var(1, keepdim=True, unbiased=False)
    expected = (features - mean) / (variance + 1e-5).sqrt() @ head.weight.T + head.bias
    torch.testing.assert_close(head(features), expected, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(head(100 * features + 7), head(features), rtol=1e-3, atol=1e-3)


def test_initialisations() -> None:
    orthogonal, kaiming, xavier = (head_of(256, 128, init=name) for name in ("orthogonal", "kaiming", "xavier"))
    torch.testing.assert_close(orthogonal.weight @ orthogonal.weight.T, torch.eye(128), rtol=0, atol=1e-4)
    assert kaiming.weight.std().item() == pytest.approx(math.sqrt(2 / 128), rel=0.03)
    bound = math.sqrt(6 / (256 + 128))
    assert 0.99 * bound < xavier.weight.abs().max().item() <= bound
    assert all(head.bias.abs().max() == 0 for head in (orthogonal, kaiming, xavier))


@pytest.mark.parametrize("init", ["default", "orthogonal", "kaiming", "xavier"])
def test_weights_depend_on_the_seed_alone(init: str) -> None:
    torch.manual_seed(1)
    first = head_of(init=init, bias=False).weight
    torch.manual_seed(2)
    assert torch.equal(first, head_of(init=init, bias=False).weight)
    assert not torch.equal(first, head_of(init=init, bias=False, seed=1).weight)


def test_only_other_heads_change_the_run() -> None:
    assert RunConfig(head=Head()).run_id() == RunConfig().run_id()
    assert "head" not in RunConfig().identity()
    others = ({"bias": False}, {"layer_norm": "before"}, {"init": "xavier"})
    assert len({RunConfig(head=other).run_id() for other in ({}, *others)}) == 4  # type: ignore[arg-type]
