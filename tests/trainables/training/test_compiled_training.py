"""`training.compile`: the backbone as one piece."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from trainables.config import RunConfig
from trainables.testing.runs import changed
from trainables.training.build import build_strategy, set_numerics
from trainables.training.data import load_run_data
from trainables.training.fit import Fit


@pytest.fixture(autouse=True)
def own_numerics() -> Iterator[None]:
    before = torch._dynamo.config.suppress_errors
    yield
    torch._dynamo.config.suppress_errors = before


def fit_of(run: RunConfig, cache: Path) -> Fit:
    return Fit(run, load_run_data(run, cache=cache), epochs=1)


def test_the_backbone_alone_is_compiled_and_keeps_its_names(
    tiny_run: RunConfig, private_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[nn.Module] = []

    def remember(module: nn.Module) -> None:
        compiled.append(module)

    monkeypatch.setattr(nn.Module, "compile", remember)
    plain = fit_of(tiny_run, private_cache)
    assert compiled == []
    fit = fit_of(changed(tiny_run, training={"compile": True}), private_cache)
    assert compiled == [fit.model.backbone]
    assert list(fit.weights()["model"]) == list(plain.weights()["model"])
    fit_of(changed(tiny_run, training={"compile": True}, backbone={"trainable": False}), private_cache)
    assert len(compiled) == 1, "cached features have no backbone"


def test_a_run_says_that_it_is_compiled(tiny_run: RunConfig) -> None:
    compiled = changed(tiny_run, training={"compile": True})
    assert compiled.run_id() != tiny_run.run_id()
    set_numerics(tiny_run)
    assert not torch._dynamo.config.suppress_errors
    set_numerics(compiled)
    assert torch._dynamo.config.suppress_errors


def test_manifold_mixup_needs_layers(tiny_run: RunConfig) -> None:
    with pytest.raises(ValueError, match=r"manifold_mixup.*training\.compile"):
        changed(tiny_run, training={"compile": True}, synthesis="manifold_mixup")


@pytest.mark.slow
@pytest.mark.parametrize("compiler", [None, "/no/such/compiler"])
def test_a_compiled_run_trains_to_the_same_within_rounding(
    tiny_run: RunConfig, private_cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, compiler: str | None
) -> None:
    """With torch's compiler, and without a C++ compiler, where the network runs as it is."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    if compiler:
        from torch._inductor import config

        monkeypatch.setattr(config.cpp, "cxx", (compiler,))
    torch._dynamo.reset()

    def losses(training: dict[str, Any]) -> list[float]:
        strategy = build_strategy(changed(tiny_run, training={"epochs": 2, **training}), cache=private_cache)
        return [float(strategy.epoch()["train_loss"] or 0) for _ in range(2)]

    plain, compiled = losses({}), losses({"compile": True})
    assert compiled == pytest.approx(plain, rel=1e-3)
    if compiler:
        assert compiled == plain
