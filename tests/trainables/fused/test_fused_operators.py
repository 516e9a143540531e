"""What a group asks of torch does not grow with its runs: on a GPU that is most of what a step of small runs costs."""

from pathlib import Path
from typing import Any

import pytest
import torch
from fused_runs import CONV4, fits, run_of, with_shared_features

from trainables.config import RunConfig
from trainables.fused.fit import FusedFit, train_together
from trainables.fused.measuring import measure_together
from trainables.fused.stack import Stack
from trainables.testing.operators import Operators
from trainables.testing.runs import changed
from trainables.training.fit import Fit

AUGMENTED = {"crop_scale": [0.5, 1], "flip": True}
RUNS: dict[str, dict[str, Any]] = {
    "head": {},
    "head, mixed": {"synthesis": "proxy_synthesis"},
    "conv4": {"backbone": CONV4},
    "conv4, crops": {"backbone": CONV4, "augmentation": AUGMENTED},
    "conv4, crops of another size": {"backbone": CONV4, "augmentation": {**AUGMENTED, "crop_size": 12}},
    "conv4, mixed": {"backbone": CONV4, "synthesis": {"name": "proxy_synthesis", "mixing": "pair"}},
    "conv4, permuted": {"backbone": CONV4, "synthesis": {"name": "proxy_synthesis", "pairing": "permutation"}},
    "conv4, official": {"backbone": CONV4, "synthesis": {"name": "proxy_synthesis", "compat": "official"}},
}


def group(run: RunConfig, count: int, cache: Path) -> tuple[Stack, dict[int, FusedFit]]:
    if run.backbone.trainable is False:
        run = with_shared_features(run, cache)
    runs = [changed(run, seed=seed) for seed in range(count)]
    together = dict(enumerate(fits(runs, FusedFit, cache=cache, dtype=torch.float32, epochs=4)))
    stack = Stack(together[0], count)
    train_together(stack, together)  # what is made once is not counted
    return stack, together


@pytest.mark.parametrize("name", RUNS)
def test_training_and_validation_ask_for_as_much(private_cache: Path, name: str) -> None:
    run, found = run_of(private_cache, **RUNS[name]), []
    for count in (2, 8):
        stack, together = group(run, count, private_cache)
        with Operators() as training:
            train_together(stack, together)
        with Operators() as validation:
            measure_together(stack, together)
        found.append((training.names, validation.names))
    assert found[0] == found[1]
    assert found[0][0].total() > 5 * 50, "of five steps"
    assert found[0][1].total() > 20


def test_weights_to_keep_are_copied_for_all_runs_at_once(private_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copies: list[torch.Tensor] = []

    def copied(tensor: torch.Tensor) -> torch.Tensor:
        copies.append(tensor)
        return tensor.clone()

    run, counts = run_of(private_cache, backbone=CONV4), []
    for count in (2, 8):
        stack, together = group(run, count, private_cache)
        with monkeypatch.context() as patch:
            patch.setattr(torch.Tensor, "cpu", copied)
            kept = [fit.kept() for fit in together.values()]
            counts.append(len(copies))
            copies.clear()
            for fit, weights in zip(together.values(), kept, strict=True):
                assert_same(weights, Fit.weights(fit))
            together[1].load_weights(kept[0])
            assert_same(together[1].kept(), kept[0])
            train_together(stack, together)
            assert_same(together[1].kept(), Fit.weights(together[1]))
            copies.clear()
    assert counts[0] == counts[1] < 30


def assert_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    for part in ("model", "loss"):
        assert one[part].keys() == other[part].keys()
        assert all(torch.equal(value, other[part][key]) for key, value in one[part].items())
