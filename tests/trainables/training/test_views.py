"""What reaches the network: random crops in training, the middle in evaluation, of images as of cached features."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from trainables.backbones import features
from trainables.backbones.build import build_backbone
from trainables.config import RunConfig
from trainables.datasets.catalog import load_images
from trainables.datasets.crops import evaluation_view
from trainables.step import Step
from trainables.strategies.plain import Plain
from trainables.strategies.untrained import Untrained
from trainables.training.data import load_run_data
from trainables.training.fit import Fit

CROPS: dict[str, Any] = {"crop_size": 14, "test_crop": 0.875, "crop_scale": (0.3, 1.0)}


def with_crops(run: RunConfig, **changes: Any) -> RunConfig:
    return run.model_copy(update={"augmentation": run.augmentation.model_copy(update={**CROPS, **changes})})


def frozen(run: RunConfig) -> RunConfig:
    return run.model_copy(update={"backbone": run.backbone.model_copy(update={"trainable": False})})


def test_training_gets_random_crops_and_evaluation_the_middle(tiny_run: RunConfig, private_cache: Path) -> None:
    run = with_crops(tiny_run, flip=False)
    data = load_run_data(run, cache=private_cache)
    fit = Fit(run, data, epochs=1)
    rows = np.arange(6)
    middle = data.batch(data.split.train[rows])[:, :, 1:15, 1:15]
    assert torch.equal(data.evaluation_batch(data.split.train[rows]), middle)
    inputs = fit.training_inputs(rows, Step(0, 0, 0))
    assert inputs.shape == middle.shape
    assert not torch.equal(inputs, middle)
    fit.model.eval()
    with torch.no_grad():
        expected = fit.model(middle)
    torch.testing.assert_close(fit.embed(data.split.train[rows]), expected)


def test_a_run_with_crops_ends_with_finite_metrics_of_its_own(tiny_run: RunConfig, private_cache: Path) -> None:
    outcomes = []
    for run in (tiny_run, with_crops(tiny_run)):
        data = load_run_data(run, cache=private_cache)
        strategy = Plain(run, data, load_run_data(run, cache=private_cache, everything=True))
        while not strategy.finished:
            strategy.epoch()
        outcomes.append(strategy.outcome().test["map_at_r"])
    assert 0 < outcomes[0] <= 1
    assert 0 < outcomes[1] <= 1
    assert outcomes[0] != outcomes[1]


def test_cached_features_are_those_of_the_middle(tiny_run: RunConfig, private_cache: Path) -> None:
    plain, cropped = frozen(tiny_run), with_crops(frozen(tiny_run))
    whole, middle = (load_run_data(run, cache=private_cache) for run in (plain, cropped))
    assert not torch.equal(whole.inputs.tensor, middle.inputs.tensor)
    backbone = build_backbone(tiny_run.backbone, channels=whole.images.channels, seed=tiny_run.seed).eval()
    images = torch.from_numpy(np.array(whole.images.images[:5])).float() / 255
    with torch.no_grad():
        expected = backbone(evaluation_view(images, cropped.augmentation))
    torch.testing.assert_close(middle.inputs.tensor[:5], expected)


def test_crops_of_training_alone_share_the_cached_features(tiny_run: RunConfig, private_cache: Path) -> None:
    first, second = frozen(tiny_run), frozen(with_crops(tiny_run, crop_size=None, test_crop=1.0, flip=False))
    files = {load_run_data(run, cache=private_cache).inputs.tensor.data_ptr() for run in (first, second)}
    assert len(files) == 1


@pytest.mark.parametrize("kind", [lambda run: run, frozen], ids=["images", "cached features"])
def test_the_untrained_embedding_sees_the_middle(tiny_run: RunConfig, private_cache: Path, kind: Any) -> None:
    values = []
    for kept in (kind(tiny_run), kind(with_crops(tiny_run))):
        run = RunConfig.model_validate({**kept.model_dump(), "strategy": "untrained"})
        data = load_run_data(run, cache=private_cache)
        strategy = Untrained(run, data, data)
        values.append(strategy.outcome().test["map_at_r"])
    assert values[0] != values[1]


def test_deformations_of_strength_zero_change_nothing_where_images_are_cropped(
    tiny_run: RunConfig, private_cache: Path
) -> None:
    run = RunConfig.model_validate(
        {
            **with_crops(tiny_run).model_dump(),
            "training": {"epochs": 1, "batch_size": 16},
            "protocol": {"deformations": [{"name": "noise", "strength": 0}]},
        }
    )
    data = load_run_data(run, cache=private_cache)
    strategy = Plain(run, data, data)
    while not strategy.finished:
        strategy.epoch()
    outcome = strategy.outcome()
    assert outcome.extra["test_map_at_r_noise_0"] == pytest.approx(outcome.test["map_at_r"])


def test_features_without_crops_have_the_key_that_they_always_had(tiny_run: RunConfig, private_cache: Path) -> None:
    images = load_images(tiny_run.dataset, cache=private_cache)
    content = features._content(frozen(tiny_run), images)
    expected = {"version", "dataset", "images", "shape", "backbone", "seed", "device", "precision", "torch"}
    assert set(content) == expected
    assert set(features._content(with_crops(frozen(tiny_run)), images)) == expected | {"view"}
