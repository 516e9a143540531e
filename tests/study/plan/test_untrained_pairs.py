"""Untrained rows of frozen and fine-tuned methods: one embedding, compared once however many cells there are."""

from collections.abc import Callable

import pytest

from study.plan import Plan, untrained

SPEC = """\
study: s
methods:
  tuned: {loss: norm_softmax}
  frozen: {loss: norm_softmax, settings: {backbone.trainable: false}}
compare: {dataset: [glyphs], optimizer.lr: [0.1, 0.2, 0.3, 0.4], loss.scale: [1, 2, 3, 4]}
"""


def test_a_frozen_network_starts_from_the_same_embedding_and_is_compared_once(
    make_plan: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    compared, same = [], untrained._same_embedding
    monkeypatch.setattr(untrained, "_same_embedding", lambda *pair: compared.append(pair) or same(*pair))
    plan = make_plan(SPEC)
    assert len(plan.cells) == 1 + 2 * 16
    assert len(compared) == 1
    assert not any("start from different embeddings" in warning for warning in plan.warnings)
