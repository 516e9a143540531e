"""Whole runs on continuous labels: what the loss gets, what is measured, which epoch is selected, exact resume."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from trainables.config import RunConfig
from trainables.datasets import catalog
from trainables.strategies.plain import Plain
from trainables.strategies.untrained import Untrained
from trainables.training import checkpoint
from trainables.training.build import build_strategy
from trainables.training.data import load_run_data
from trainables.training.fit import Fit
from trainables.training.measure import class_rows, measure
from trainables.training.rehearsal import rehearse

_VIEWS = 12


@pytest.fixture(scope="module")
def hands(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten objects, each a line of its own width, seen at angles of 0, 30, ... 330 degrees."""
    folder = tmp_path_factory.mktemp("hands")
    rows = ["path,angle"]
    for number in range(10):
        for view in range(_VIEWS):
            angle = view * 360 / _VIEWS
            path = folder / ("train" if number < 6 else "test") / f"object{number}" / f"{view:02d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            image, towards = Image.new("L", (16, 16)), np.deg2rad(angle)
            tip = (8 + 7 * np.cos(towards), 8 + 7 * np.sin(towards))
            ImageDraw.Draw(image).line([(8, 8), tip], fill=255, width=1 + number % 3)
            image.save(path)
            rows.append(f"{path.relative_to(folder).as_posix()},{angle}")
    (folder / "labels.csv").write_text("\n".join(rows))
    return folder


def run_on(path: Path, cache: Path, **sections: Any) -> RunConfig:
    run = RunConfig.model_validate(
        {
            "dataset": {
                **{"name": "image_folder", "path": str(path), "image_size": 16, "channels": 1},
                **{"target_columns": ["angle"], "target_period": 360, "target_groups": "class"},
            },
            "backbone": {"name": "conv4", "width": 8},
            "embedding_dim": 8,
            "loss": {"name": "log_ratio", "min_distance": 15},
            "sampler": {"name": "dense", "nearest": 2, "anchors_per_epoch": 6},
            "training": {"epochs": 3, "batch_size": 8},
            "protocol": {"validation_folds": 2, "select_by": "label_distance_at_10", "distance": "euclidean"},
            **sections,
        }
    )
    return run.model_copy(update={"dataset": catalog.resolve(run.dataset, search=(), cache=cache)})


def test_the_loss_gets_the_label_distances_of_the_batch(hands: Path, private_cache: Path) -> None:
    run = run_on(hands, private_cache)
    data = load_run_data(run, cache=private_cache)
    fit = Fit(run, data, epochs=1)
    assert data.images.targets is not None
    for batch in fit.batches():
        positions = data.split.train[batch]
        angles = data.images.targets.values[positions, 0]
        around = np.abs(angles[1:] - angles[0])
        distances = fit._labels(batch)
        assert distances.tolist() == np.minimum(around, 360 - around).tolist()
        assert (distances.diff() >= 0).all()
        assert len(set(data.images.labels[positions])) == 1


def test_metrics_are_those_of_labels_and_of_classes(hands: Path, private_cache: Path) -> None:
    run = run_on(hands, private_cache)
    data = load_run_data(run, cache=private_cache)
    assert data.images.targets is not None
    angles = np.deg2rad(data.images.targets.values[data.split.test, 0])
    perfect = torch.from_numpy(np.stack([np.cos(angles), np.sin(angles)], axis=1))
    measured = measure(run, data, perfect, "test")
    assert measured.metrics["ndcg_at_10"] == pytest.approx(1)
    assert measured.metrics["label_distance_at_1"] == pytest.approx(30)
    assert measured.metrics["label_distance_at_10"] == pytest.approx(90), "30, 30, 60, ... 150, 150"
    assert measured.metrics["recall_at_1"] < 1, "the angle does not tell objects apart"
    rows = class_rows(measured, [f"object{number}" for number in range(4)])
    assert [row["images"] for row in rows] == [_VIEWS] * 4
    assert rows[0]["extra"]["ndcg_at_10"] == pytest.approx(1)


def test_where_all_images_are_of_one_class_only_labels_are_measured(hands: Path, private_cache: Path) -> None:
    run = run_on(hands, private_cache)
    data = load_run_data(run, cache=private_cache)
    split = data.split
    object.__setattr__(split, "val", split.val[:_VIEWS])
    object.__setattr__(split, "val_labels", split.val_labels[:_VIEWS])
    measured = measure(run, data, torch.randn(_VIEWS, 3), "val")
    assert set(measured.metrics) == {f"{name}_at_{k}" for name in ("label_distance", "ndcg") for k in (1, 10)}
    assert class_rows(measured, ["object"])[0]["map_at_r"] is None


def test_the_epoch_with_the_smallest_label_distance_is_selected(
    hands: Path, private_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_on(hands, private_cache)
    strategy = build_strategy(run, cache=private_cache)
    coming = [{"label_distance_at_10": value} for value in (40.0, 20.0, 30.0)]
    monkeypatch.setattr(Plain, "_measure", lambda self, part: coming.pop(0))
    while not strategy.finished:
        strategy.epoch()
    outcome = strategy.outcome()
    assert outcome.selected_epoch == 2
    assert outcome.validation == {"label_distance_at_10": 20.0}


def test_the_best_test_epoch_of_a_label_distance_is_the_smallest(hands: Path, private_cache: Path) -> None:
    run = run_on(hands, private_cache)
    run = run.model_copy(update={"protocol": run.protocol.model_copy(update={"test": "every_eval"})})
    strategy = build_strategy(run, cache=private_cache)
    rows = [strategy.epoch()["extra"] for _ in range(3)]
    best = strategy.outcome().best_test
    assert best["label_distance_at_10"] == min(row["test_label_distance_at_10"] for row in rows)
    assert best["ndcg_at_10"] == max(row["test_ndcg_at_10"] for row in rows)


@pytest.mark.parametrize(
    "sections",
    [
        {},
        {"loss": "dense_triplet"},
        {"loss": {"name": "naive_triplet", "positives": 2}, "sampler": {"name": "dense", "nearest": 2, "pool": 4}},
        {"loss": "proxy_anchor", "sampler": "shuffled"},
        {"dataset_groups": "all"},
    ],
)
def test_a_run_continues_to_the_same_bits(sections: dict[str, Any], hands: Path, private_cache: Path) -> None:
    run = run_on(hands, private_cache, **{key: value for key, value in sections.items() if key != "dataset_groups"})
    if "dataset_groups" in sections:
        run = run.model_copy(update={"dataset": run.dataset.model_copy(update={"target_groups": "all"})})
    whole, first, second = (build_strategy(run, cache=private_cache) for _ in range(3))
    expected = [whole.epoch() for _ in range(3)]
    first.epoch()
    state, _ = checkpoint.from_bytes(checkpoint.to_bytes(first.state_dict(), []))
    second.load_state_dict(state)
    continued = [second.epoch() for _ in range(2)]
    for row, other in zip(expected[1:], continued, strict=True):
        assert row["train_loss"] == other["train_loss"]
        assert row["extra"] == other["extra"]
    assert whole.outcome().test == second.outcome().test
    assert "ndcg_at_10" in whole.outcome().test


@pytest.mark.parametrize("loss", ["log_ratio", "dense_triplet", "naive_triplet", "norm_softmax"])
def test_a_rehearsal_goes_all_the_way(loss: str, hands: Path, private_cache: Path) -> None:
    run = run_on(hands, private_cache, loss=loss, sampler={"name": "dense", "nearest": 5})
    assert "label_distance_at_10" in rehearse(run, cache=private_cache)


def test_selecting_by_labels_needs_labels() -> None:
    with pytest.raises(ValueError, match=r"'label_distance_at_10' needs continuous labels .* select by 'map_at_r'"):
        RunConfig.model_validate({"protocol": {"select_by": "label_distance_at_10"}})


def test_angles_of_unseen_real_objects_are_nearer_after_training(shared_data: Path, private_cache: Path) -> None:
    """A few hundred small batches already beat the network with its initial weights by a wide margin."""
    path = shared_data / "coil99_64px_angle.zip"
    if not path.is_file():
        pytest.skip(f"no real images: {path} does not exist")
    run = run_on(
        path,
        private_cache,
        dataset={
            **{"name": "image_folder", "path": str(path), "image_size": 16, "channels": 1},
            **{"target_columns": ["angle_deg"], "target_period": 360, "target_groups": "class"},
        },
        loss={"name": "log_ratio", "min_distance": 2.5},
        sampler={"name": "dense", "anchors_per_epoch": 150},
        training={"epochs": 2, "batch_size": 24},
    )
    data = load_run_data(run, cache=private_cache)
    before = Untrained(run, data, data).outcome().test
    strategy = build_strategy(run, cache=private_cache)
    while not strategy.finished:
        strategy.epoch()
    after = strategy.outcome().test
    assert after["label_distance_at_10"] < before["label_distance_at_10"] - 5, "degrees"
    assert after["ndcg_at_10"] > before["ndcg_at_10"]
