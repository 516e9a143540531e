"""The untrained embedding is measured as the trained ones are."""

from pathlib import Path
from typing import Any

import pytest
import torch

from trainables.backbones.build import build_backbone
from trainables.config import RunConfig
from trainables.strategies.untrained import Untrained
from trainables.training.build import build_strategy


def outcome_of(run: RunConfig, cache: Path, **sections: Any) -> tuple[dict[str, float], torch.Tensor | None]:
    changed = RunConfig.model_validate({**run.model_dump(), "strategy": "untrained", **sections})
    strategy = build_strategy(changed, cache=cache)
    assert isinstance(strategy, Untrained)
    assert strategy.epoch() == {}
    assert (strategy.finished, strategy.epochs_done) == (True, 0)
    outcome = strategy.outcome()
    assert outcome.selected_epoch is None
    return outcome.test, outcome.test_embeddings


def test_it_is_the_backbone_of_the_seed_in_evaluation_mode(tiny_run: RunConfig, private_cache: Path) -> None:
    test, embeddings = outcome_of(tiny_run, private_cache)
    strategy = build_strategy(tiny_run, cache=private_cache)
    data = strategy.data  # type: ignore[attr-defined]
    backbone = build_backbone(tiny_run.backbone, channels=1, seed=tiny_run.seed).eval()
    with torch.inference_mode():
        expected = backbone(data.batch(data.split.test))
    assert embeddings is not None
    torch.testing.assert_close(embeddings, expected)
    assert set(test) >= {"recall_at_1", "map_at_r"}


def test_it_computes_in_the_precision_of_the_run(tiny_run: RunConfig, private_cache: Path) -> None:
    training = tiny_run.training.model_dump()
    _, exact = outcome_of(tiny_run, private_cache)
    _, half = outcome_of(tiny_run, private_cache, training={**training, "precision": "bfloat16"})
    assert exact is not None
    assert half is not None
    assert half.dtype == torch.float32
    assert not torch.equal(exact, half)
    torch.testing.assert_close(half, exact, rtol=0.1, atol=0.1)


@pytest.mark.parametrize("trainable", [True, False])
def test_where_test_classes_are_taboo_there_is_nothing_to_report(
    tiny_run: RunConfig, private_cache: Path, trainable: bool
) -> None:
    backbone = {**tiny_run.backbone.model_dump(), "trainable": trainable}
    test, embeddings = outcome_of(tiny_run, private_cache, backbone=backbone, protocol={"test": "never"})
    assert (test, embeddings) == ({}, None)
