"""Dense triplet mining: what a batch holds, in which order, within which group, and that it can be repeated."""

from typing import Any

import numpy as np
import pytest

from trainables.config import RunConfig
from trainables.datasets.targets import Targets
from trainables.errors import ConfigError
from trainables.training.config import Dense
from trainables.training.samplers_dense import dense

ANGLES = {"name": "image_folder", "path": "a.zip", "target_columns": ["angle"], "target_period": 360}


def line(count: int) -> Targets:
    """Images at 0, 1, 2, ... on a line."""
    return Targets(np.arange(count, dtype=np.float64)[:, None], np.zeros(count, dtype=np.int64))


def circles(objects: int, views: int = 24) -> Targets:
    """Views of objects, evenly around each."""
    angles = np.tile(np.arange(views) * 360 / views, objects)
    return Targets(angles[:, None], np.repeat(np.arange(objects), views), 360)


def batches(targets: Targets, config: Dense | None = None, *, size: int = 10, seed: int = 0, epoch: int = 0) -> Any:
    labels = np.zeros(len(targets), dtype=np.int64)
    return dense(config or Dense(nearest=3), labels, batch_size=size, seed=seed, epoch=epoch, targets=targets)


def test_every_image_is_the_anchor_of_one_batch() -> None:
    found = batches(line(40))
    assert sorted(batch[0] for batch in found) == list(range(40))
    assert all(len(batch) == len(set(batch)) == 10 for batch in found)


def test_a_batch_has_the_nearest_images_and_others_in_the_order_of_label_distance() -> None:
    for batch in batches(line(40), Dense(nearest=4), size=12):
        anchor, others = batch[0], batch[1:]
        distances = np.abs(others - anchor)
        assert (np.diff(distances) >= 0).all()
        all_distances = np.sort(np.abs(np.delete(np.arange(40), anchor) - anchor))
        assert distances[:4].tolist() == all_distances[:4].tolist()
        assert (distances[4:] >= distances[3]).all()


def test_others_are_drawn_uniformly_from_beyond_the_nearest() -> None:
    """Of 39 ranks, the first 3 are in every batch and each of the other 36 in a sixth of them."""
    values = np.random.default_rng(0).uniform(size=(40, 1))
    targets = Targets(values, np.zeros(40, dtype=np.int64))
    ranks = np.argsort(np.argsort(np.abs(values - values.T), axis=1), axis=1)
    found = [batch for epoch in range(60) for batch in batches(targets, Dense(nearest=3), size=10, epoch=epoch)]
    counts = np.bincount(np.concatenate([ranks[batch[0], batch] for batch in found]), minlength=40)
    assert counts[:4].tolist() == [2400] * 4, "the anchor and its nearest"
    assert np.abs(counts[4:] / 2400 - 1 / 6).max() < 0.04


def test_ties_fall_to_either_side() -> None:
    """On a circle both neighbours are equally near; one of them is drawn."""
    sides = {tuple(np.sort((batch[1:2] - batch[0]) % 24)) for batch in batches(circles(1), Dense(nearest=1), size=5)}
    assert sides == {(1,), (23,)}


def test_a_pool_gives_the_nearest_and_nothing_else_of_it() -> None:
    for batch in batches(line(60), Dense(nearest=3, pool=10), size=12):
        others = np.delete(np.arange(60), batch[0])
        edge = np.sort(np.abs(others - batch[0]))[9]
        distances = np.abs(batch[1:] - batch[0])
        assert (distances[:3] <= edge).all()
        assert (distances[3:] >= edge).all()
        assert (np.diff(distances) >= 0).all()


def test_batches_stay_within_a_group_and_smaller_groups_give_what_they_have() -> None:
    sizes = [30, 6, 5, 2]
    group = np.repeat(np.arange(4), sizes)
    targets = Targets(np.random.default_rng(0).normal(size=(43, 2)), group)
    found = batches(targets, Dense(nearest=3), size=12)
    assert all(len(set(group[batch])) == 1 for batch in found)
    assert sorted({(int(group[batch[0]]), len(batch)) for batch in found}) == [(0, 12), (1, 6), (2, 5)]
    assert len(found) == 41, "a group of two has no image beyond the nearest"


def test_an_epoch_may_have_fewer_anchors_other_ones_each_time() -> None:
    config = Dense(nearest=3, anchors_per_epoch=7)
    epochs = [[int(batch[0]) for batch in batches(circles(3), config, epoch=epoch)] for epoch in range(3)]
    assert all(len(set(anchors)) == 7 for anchors in epochs)
    assert len(set(map(tuple, epochs))) == 3


def test_batches_depend_on_seed_and_epoch_alone() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        np.random.rand(3)  # a global stream must not matter
        return np.concatenate(batches(circles(2), seed=seed, epoch=epoch)).tolist()  # type: ignore[no-any-return]

    assert order(1, 2) == order(1, 2)
    assert order(1, 2) != order(1, 3)
    assert order(1, 2) != order(2, 2)


def test_labels_that_are_absent_or_in_groups_too_small_are_refused() -> None:
    with pytest.raises(ConfigError, match="need continuous labels"):
        dense(Dense(), np.zeros(9, dtype=np.int64), batch_size=8, seed=0, epoch=0)
    with pytest.raises(ConfigError, match="fewer than 7 images; lower sampler"):
        batches(circles(5, views=6), Dense(nearest=5))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dataset": "glyphs"}, r"draws by label distance and dataset 'glyphs' has classes only"),
        ({"training": {"batch_size": 6}}, r"nearest 5 needs training.batch_size of 7"),
        ({"sampler": {"name": "dense", "nearest": 5, "pool": 4}}, "pool 4 is smaller than nearest 5"),
    ],
)
def test_impossible_settings_are_refused_before_anything_starts(change: dict[str, Any], message: str) -> None:
    run = {"dataset": ANGLES, "sampler": "dense"}
    RunConfig.model_validate(run)
    with pytest.raises(ValueError, match=message):
        RunConfig.model_validate({**run, **change})


def test_a_pool_of_the_nearest_alone_is_no_pool() -> None:
    runs = [
        RunConfig.model_validate({"dataset": ANGLES, "sampler": {"name": "dense", "pool": pool}})
        for pool in (None, 5, 6)
    ]
    assert runs[0].run_id() == runs[1].run_id() != runs[2].run_id()
