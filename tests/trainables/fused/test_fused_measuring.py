"""Validation of runs that train together is what each would find by itself."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fused_runs import CONV4, HEAD, Alone, fits, largest_difference, run_of
from test_fused_group import finish, group_of

from trainables.config import RunConfig
from trainables.errors import TrainingError
from trainables.fused import group as group_module
from trainables.fused import measuring
from trainables.fused.fit import FusedFit, train_together
from trainables.fused.inputs import OwnFeatures
from trainables.fused.measuring import measure_together
from trainables.fused.stack import Stack
from trainables.ledger import Ledger
from trainables.testing.runs import changed
from trainables.training.inputs import Resident, Streamed
from trainables.training.measure import measure

CASES: list[dict[str, Any]] = [
    {"backbone": HEAD},
    {"backbone": CONV4},
    {"backbone": {**CONV4, "batch_norm": "frozen"}, "augmentation": {"test_crop": 0.8}},
    {"backbone": CONV4, "protocol": {"distance": "euclidean"}},
    {"backbone": CONV4, "protocol": {"distance": "lipschitz", "ks": [1, 500]}},
]


def runs_of(cache: Path, count: int = 3, **sections: Any) -> list[RunConfig]:
    return [changed(run_of(cache, **sections), seed=seed) for seed in range(count)]


@pytest.mark.parametrize("sections", CASES, ids=str)
def test_every_run_is_measured_as_by_itself(private_cache: Path, sections: dict[str, Any]) -> None:
    runs = runs_of(private_cache, **sections)
    together = dict(enumerate(fits(runs, FusedFit, cache=private_cache, dtype=torch.float64, epochs=2)))
    stack = Stack(together[0], len(runs))
    train_together(stack, together)
    measure_together(stack, together)
    for fit in together.values():
        found, data = fit.validation, fit.data
        with torch.no_grad():
            embeddings = fit.model.eval()(data.evaluation_batch(data.split.val).double())
        assert found is not None
        assert (found.embeddings - embeddings).abs().max() < 1e-9
        assert found.metrics == pytest.approx(measure(fit.run, data, embeddings, "val").metrics, abs=1e-9)


def test_the_first_run_may_end_before_the_others(private_cache: Path) -> None:
    """It is measured at its end, in evaluation mode, and is the one whose modules compute for all of them."""
    runs = runs_of(private_cache, 2, backbone=CONV4)
    together: list[FusedFit] = fits(runs, FusedFit, cache=private_cache, dtype=torch.float64, epochs=2)
    alone: Alone = fits(runs[1:], Alone, cache=private_cache, dtype=torch.float64, epochs=2)[0]
    stack = Stack(together[0], 2)
    train_together(stack, dict(enumerate(together)))
    for fit in together:
        fit.train_epoch()
    together[0].model.eval()
    train_together(stack, {1: together[1]})
    together[1].train_epoch()
    alone.train_epoch()
    alone.train_epoch()
    assert largest_difference(together[1], alone) < 1e-9


class Decoder:
    """Stands for images that are decoded when they are asked for."""

    def __init__(self, images: np.ndarray) -> None:
        self.images, self.shape = images, images.shape
        self.announced: list[list[int]] = []
        self.taken: list[list[int]] = []

    def __getitem__(self, positions: np.ndarray) -> np.ndarray:
        self.taken.append(positions.tolist())
        return self.images[positions]

    def expect(self, batches: Iterable[np.ndarray]) -> None:
        self.announced += [batch.tolist() for batch in batches]


def test_images_are_announced_and_decoded_for_all_runs_at_once(private_cache: Path) -> None:
    built = fits(
        runs_of(private_cache, 2, backbone=CONV4), FusedFit, cache=private_cache, dtype=torch.float32, epochs=2
    )
    decoders = [Decoder(fit.data.inputs.tensor.numpy()) for fit in built]
    for fit, decoder in zip(built, decoders, strict=True):
        fit.data = replace(fit.data, inputs=Streamed(decoder))
    stack = Stack(built[0], 2)
    train_together(stack, dict(enumerate(built)))
    measure_together(stack, dict(enumerate(built)))
    assert decoders[0].taken == decoders[0].announced
    assert decoders[1].taken == []
    train = built[0].data.split.train
    expected = [[*train[one], *train[two]] for one, two in zip(*(fit.batches() for fit in built), strict=True)]
    assert decoders[0].taken[: len(expected)] == expected
    validated = [position for taken in decoders[0].taken[len(expected) :] for position in taken]
    assert validated == built[0].data.split.val.tolist(), "once for all runs"


def test_features_on_several_devices_are_brought_together() -> None:
    """Which features fit into a GPU's memory is known only when they come."""
    parts = [Resident(torch.ones(4, 3)), Resident(torch.ones(4, 3, device="meta"))]
    seen = OwnFeatures(parts, torch.device("meta")).take(np.asarray([0, 1, 2, 3]))
    assert (seen.shape, seen.device.type) == ((4, 3), "meta")


def test_weights_that_the_stack_has_under_other_names(private_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module may share a tensor among names: `named_parameters` tells one of them, `state_dict` all."""
    built = fits(
        runs_of(private_cache, 2, backbone=CONV4), FusedFit, cache=private_cache, dtype=torch.float32, epochs=2
    )
    built[0].model.again = torch.nn.Linear(1, 1)
    built[0].model.again.weight = built[0].model.head.weight
    stack = Stack(built[0], 1)
    train_together(stack, {0: built[0]})
    assert built[0]._stack is stack
    weights = built[0].weights()["model"]
    assert torch.equal(weights["again.weight"], weights["head.weight"])
    assert torch.equal(weights["head.weight"], built[0].model.head.weight)


def test_a_module_under_two_names_is_refused_before_it_trains(private_cache: Path) -> None:
    """The group dissolves; an activation, which has no weights, may stand anywhere."""
    (fit,) = fits(
        runs_of(private_cache, 1, backbone=CONV4), FusedFit, cache=private_cache, dtype=torch.float32, epochs=2
    )
    fit.model.one = fit.model.two = torch.nn.ReLU()
    Stack(fit, 2)
    fit.model.again = fit.model.head
    with pytest.raises(TrainingError, match="'again' is the same module as 'head'"):
        Stack(fit, 2)


def metrics_of(ledger: Ledger) -> list[float]:
    rows = sorted(ledger.read("epochs").to_pylist(), key=lambda row: (row["run_id"], row["epoch"]))
    assert all(row["eval_seconds"] > 0 for row in rows)
    return [row["val_map_at_r"] for row in rows]


@pytest.mark.parametrize("left", ["sets that are too large", "metrics"])
def test_what_is_left_to_the_runs(
    private_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: str
) -> None:
    runs = dict(enumerate(runs_of(private_cache, optimizer={"lr": 1e-4})))
    found = []
    for turn in ("together", "by each"):
        ledger = Ledger.open(tmp_path / turn, create=True)
        finish(group_of(runs, ledger, private_cache))
        found.append(metrics_of(ledger))
        if left == "metrics":
            monkeypatch.setattr(measuring, "stacked_metrics", lambda embeddings, *_, **__: [None] * len(embeddings))
        else:
            monkeypatch.setattr(measuring, "held_at_once", lambda _: 100)
    assert found[0] == pytest.approx(found[1], abs=1e-6)


def test_what_cannot_be_measured_together_is_trained_one_by_one(
    private_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_large(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(group_module, "measure_together", too_large)
    group = group_of(dict(enumerate(runs_of(private_cache))), Ledger.open(tmp_path, create=True), private_cache)
    finish(group)
    assert set(group.statuses.values()) == {"complete"}
