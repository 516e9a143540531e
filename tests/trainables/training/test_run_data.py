"""What a run sees of its data: which classes reach a training batch, and how arrays are shared."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from trainables.config import RunConfig
from trainables.strategies.plain import Plain
from trainables.training import inputs
from trainables.training.data import RunData, load_run_data
from trainables.training.fit import Fit

Seen = list[tuple[str, str, frozenset[int]]]
"""What asked for images (training or evaluation), in which phase, and the dataset's classes of them."""


def with_protocol(run: RunConfig, **values: Any) -> RunConfig:
    return run.model_copy(update={"protocol": run.protocol.model_copy(update=values)})


def frozen(run: RunConfig) -> RunConfig:
    return run.model_copy(update={"backbone": run.backbone.model_copy(update={"trainable": False})})


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch, private_cache: Path) -> Callable[[RunConfig], tuple[Seen, RunData]]:
    """Trains a run to its outcome and notes every access to its inputs."""

    def train(run: RunConfig) -> tuple[Seen, RunData]:
        data = load_run_data(run, cache=private_cache)
        everything = load_run_data(run, cache=private_cache, everything=True)
        seen: Seen = []
        purpose = ["other"]
        original_batch, original_step, original_embed = RunData.batch, Fit._step, Fit.embed

        def batch(self: RunData, positions: np.ndarray) -> Tensor:
            classes = frozenset(self.images.labels[positions].tolist())
            seen.append((purpose[-1], strategy.phase, classes))
            return original_batch(self, positions)

        def noted(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
            def call(*arguments: Any) -> Any:
                purpose.append(name)
                try:
                    return original(*arguments)
                finally:
                    purpose.pop()

            return call

        monkeypatch.setattr(RunData, "batch", batch)
        monkeypatch.setattr(Fit, "_step", noted("training", original_step))
        monkeypatch.setattr(Fit, "embed", noted("evaluation", original_embed))
        strategy = Plain(run, data, everything)
        while not strategy.finished:
            strategy.epoch()
        seen.append(("outcome", strategy.phase, frozenset()))
        strategy.outcome()
        assert {name for name, _, _ in seen} <= {"training", "evaluation", "outcome"}
        return seen, data

    return train


def classes_of(seen: Seen, purpose: str, phase: str | None = None) -> set[int]:
    chosen = [classes for name, at, classes in seen if name == purpose and phase in (None, at)]
    return set().union(*chosen)


@pytest.mark.parametrize("kind", [lambda run: run, frozen], ids=["images", "cached features"])
def test_training_sees_training_classes_alone_and_test_classes_are_looked_at_once(
    tiny_run: RunConfig, watched: Callable[[RunConfig], tuple[Seen, RunData]], kind: Callable[[RunConfig], RunConfig]
) -> None:
    seen, data = watched(kind(tiny_run))
    split = data.split
    train, val, test = (set(part.tolist()) for part in (split.train_classes, split.val_classes, split.test_classes))
    assert set(data.images.labels[data.images.split == "test"].tolist()) == test
    assert not train & val and not train & test and not val & test
    assert classes_of(seen, "training") == train
    end = seen.index(("outcome", "select", frozenset()))
    assert classes_of(seen[:end], "evaluation") == val
    assert classes_of(seen[end:], "evaluation") == test


def test_a_refit_trains_on_all_training_classes_and_still_not_on_test_classes(
    tiny_run: RunConfig, watched: Callable[[RunConfig], tuple[Seen, RunData]]
) -> None:
    seen, data = watched(with_protocol(tiny_run, refit=True))
    train, val = set(data.split.train_classes.tolist()), set(data.split.val_classes.tolist())
    assert classes_of(seen, "training", "select") == train
    assert classes_of(seen, "training", "refit") == train | val
    end = seen.index(("outcome", "refit", frozenset()))
    assert classes_of(seen[:end], "evaluation") == val
    assert classes_of(seen[end:], "evaluation") == set(data.split.test_classes.tolist())


def test_without_a_look_at_test_classes_no_test_image_is_touched(
    tiny_run: RunConfig, watched: Callable[[RunConfig], tuple[Seen, RunData]]
) -> None:
    seen, data = watched(with_protocol(tiny_run, test="never"))
    touched = classes_of(seen, "training") | classes_of(seen, "evaluation")
    assert not touched & set(data.split.test_classes.tolist())


def test_the_last_epoch_is_taken_without_any_evaluation_before(
    tiny_run: RunConfig, watched: Callable[[RunConfig], tuple[Seen, RunData]]
) -> None:
    seen, data = watched(with_protocol(tiny_run, selection="last"))
    assert len(data.split.val) == 0
    end = seen.index(("outcome", "select", frozenset()))
    assert classes_of(seen[:end], "evaluation") == set()
    assert classes_of(seen, "training") == set(data.split.train_classes.tolist())


def test_batches_are_scaled_images_or_features_as_they_are(tiny_run: RunConfig, private_cache: Path) -> None:
    positions = np.array([5, 2, 5])
    data = load_run_data(tiny_run, cache=private_cache)
    expected = torch.from_numpy(data.images.images[positions]).float() / 255
    assert torch.equal(data.batch(positions), expected)
    features = load_run_data(frozen(tiny_run), cache=private_cache)
    assert features.cached_features
    assert torch.equal(features.batch(positions), features.inputs.tensor[torch.from_numpy(positions)])


def test_runs_on_one_dataset_share_one_array_and_cannot_change_its_file(
    tiny_run: RunConfig, private_cache: Path
) -> None:
    first = load_run_data(tiny_run, cache=private_cache)
    other = tiny_run.model_copy(update={"seed": 5, "fold": 1})
    second = load_run_data(other, cache=private_cache)
    assert first.inputs.tensor.data_ptr() == second.inputs.tensor.data_ptr()
    before = first.images.images[0].copy()
    first.inputs.tensor[0] += 1
    try:
        assert np.array_equal(load_run_data(tiny_run, cache=private_cache).images.images[0], before)
    finally:
        first.inputs.tensor[0] -= 1


def test_different_arrays_are_told_apart_and_only_the_last_are_kept(tiny_run: RunConfig, private_cache: Path) -> None:
    runs = [frozen(tiny_run).model_copy(update={"seed": seed}) for seed in range(3)]
    loaded = [load_run_data(run, cache=private_cache).inputs.tensor for run in runs]
    assert len({tensor.data_ptr() for tensor in loaded}) == 3
    assert not torch.equal(loaded[0], loaded[1])
    assert len(inputs._opened) == 2
    again = load_run_data(runs[0], cache=private_cache).inputs.tensor
    assert torch.equal(again, loaded[0])
