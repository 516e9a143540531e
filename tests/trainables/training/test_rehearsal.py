"""A rehearsal goes the whole way of a run and takes next to nothing for it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from trainables.batch import Batch
from trainables.config import RunConfig
from trainables.datasets import catalog
from trainables.errors import ConfigError, TrainingError
from trainables.losses.module import BaseLoss
from trainables.strategies.plain import Plain
from trainables.training.data import RunData
from trainables.training.fit import Fit
from trainables.training.rehearsal import rehearse


@pytest.fixture
def larger_run(tiny_run: RunConfig, private_cache: Path) -> RunConfig:
    """More classes than a batch has images, and many epochs: a rehearsal must not train them."""
    values = {**tiny_run.dataset.model_dump(exclude={"revision"}), "classes": 120, "images_per_class": 12}
    training = {**tiny_run.training.model_dump(), "epochs": 500, "warmup_epochs": 400}
    run = RunConfig.model_validate({**tiny_run.model_dump(), "dataset": values, "training": training})
    return run.model_copy(update={"dataset": catalog.resolve(run.dataset, search=(), cache=private_cache)})


@pytest.fixture
def positions(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Every image that was asked for."""
    asked: list[int] = []
    original = RunData.batch

    def batch(self: RunData, positions: np.ndarray) -> Tensor:
        asked.extend(positions.tolist())
        return original(self, positions)

    monkeypatch.setattr(RunData, "batch", batch)
    return asked


def changed(run: RunConfig, **sections: Any) -> RunConfig:
    return RunConfig.model_validate({**run.model_dump(), **sections})


def test_it_trains_one_short_epoch_and_measures_a_few_classes(
    larger_run: RunConfig, private_cache: Path, positions: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    epochs = []
    original = Plain.epoch
    monkeypatch.setattr(Plain, "epoch", lambda self: epochs.append(1) or original(self))  # type: ignore[func-returns-value]
    metrics = rehearse(larger_run, cache=private_cache)
    assert {"recall_at_1", "r_precision", "map_at_r"} <= set(metrics)
    assert len(epochs) == 1
    batch_size, per_class, evaluated = 16, 2, 8 * 4
    assert len(positions) <= batch_size * per_class + 2 * evaluated


@pytest.mark.parametrize(
    "sections",
    [
        {"protocol": {"refit": True}},
        {"protocol": {"selection": "last"}},
        {"protocol": {"test": "every_eval"}},
        {"backbone": {"name": "conv4", "width": 8, "trainable": False}},
        {"sampler": "shuffled", "synthesis": "none", "loss": "proxy_anchor"},
        {"strategy": "untrained"},
    ],
)
def test_every_kind_of_run_can_be_rehearsed(tiny_run: RunConfig, private_cache: Path, sections: dict[str, Any]) -> None:
    assert 0 <= rehearse(changed(tiny_run, **sections), cache=private_cache)["map_at_r"] <= 1


def test_where_test_classes_are_taboo_it_measures_validation_classes(tiny_run: RunConfig, private_cache: Path) -> None:
    run = changed(tiny_run, protocol={"test": "never"})
    assert "map_at_r" in rehearse(run, cache=private_cache)


def test_it_fails_as_the_run_would(tiny_run: RunConfig, private_cache: Path) -> None:
    run = changed(tiny_run, sampler={"name": "balanced", "images_per_class": 1})
    with pytest.raises(ConfigError, match="needs 16 classes of 1 images, and the training set has 9 classes"):
        rehearse(run, cache=private_cache)


def test_a_memory_that_is_too_large_for_the_real_classes_is_refused(tiny_run: RunConfig, private_cache: Path) -> None:
    """9 classes, 10 steps: 9 * 16 * 4 * 10 bytes of weights, and more for the rows and the logits."""
    run = changed(tiny_run, synthesis={"name": "memvir", "steps": 10, "gap": 0, "memory_limit": 30_000})
    with pytest.raises(ConfigError, match=r"keeps 10 past steps of 9 proxies and 16 embeddings .* bytes"):
        rehearse(run, cache=private_cache)


def test_it_sets_the_threads_of_the_run(tiny_run: RunConfig, private_cache: Path) -> None:
    before = torch.get_num_threads()
    try:
        rehearse(changed(tiny_run, training={**tiny_run.training.model_dump(), "threads": 2}), cache=private_cache)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    "synthesis",
    [
        {"name": "memvir", "warmup_epochs": 3, "gap": 50, "curriculum": "jump"},
        {"name": "l2a", "warmup_epochs": 3, "generator_steps": 10**6},
    ],
    ids=lambda synthesis: synthesis["name"],
)
def test_syntheses_act_whatever_their_warm_up(
    tiny_run: RunConfig, private_cache: Path, synthesis: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    original = BaseLoss.forward

    def forward(self: BaseLoss, batch: Batch) -> Tensor:
        assert batch.classes is not None
        seen.append(batch.classes.count)
        return original(self, batch)

    monkeypatch.setattr(BaseLoss, "forward", forward)
    rehearse(changed(tiny_run, synthesis=synthesis), cache=private_cache)
    assert max(seen) > 9, "no class but those of the images"


def test_a_cross_batch_memory_acts_too(
    tiny_run: RunConfig, private_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = []
    original = BaseLoss.against
    monkeypatch.setattr(
        BaseLoss, "against", lambda self, batch, *memory: rows.append(len(memory[0])) or original(self, batch, *memory)
    )
    synthesis = {"name": "xbm", "warmup_epochs": 3}
    rehearse(changed(tiny_run, loss="contrastive", synthesis=synthesis), cache=private_cache)
    assert max(rows) > 0


def test_a_gradient_that_is_not_finite_fails_even_in_the_last_step(
    tiny_run: RunConfig, private_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoil(self: Fit) -> None:
        assert self.loss.proxies is not None and self.loss.proxies.grad is not None
        self.loss.proxies.grad[0, 0] = torch.inf

    monkeypatch.setattr(Fit, "batches", lambda self: [np.arange(16)])
    monkeypatch.setattr(Fit, "edit_gradients", spoil)
    run = changed(tiny_run, training={**tiny_run.training.model_dump(), "clip_norm": None})
    with pytest.raises(TrainingError, match="loss 'norm_softmax' with synthesis 'proxy_synthesis': some weights"):
        rehearse(run, cache=private_cache)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"notes": Path("here")}, "cannot be saved and read back .*strategy 'plain', loss 'norm_softmax'"),
        ({"steps": [torch.ones(2), 1.0]}, r"changes when it is saved and read back, at 'state\.steps\.0'"),
        ({"steps": [torch.zeros(2), 2.0]}, r"changes when it is saved and read back, at 'state\.steps\.1'"),
    ],
)
def test_a_state_that_does_not_survive_a_checkpoint(
    tiny_run: RunConfig, private_cache: Path, state: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = {"steps": [torch.zeros(2), 1.0]}
    monkeypatch.setattr(Plain, "state_dict", lambda self: state if self.epochs_done else fresh)
    monkeypatch.setattr(Plain, "load_state_dict", lambda self, state: None)
    with pytest.raises(TrainingError, match=message):
        rehearse(tiny_run, cache=private_cache)
