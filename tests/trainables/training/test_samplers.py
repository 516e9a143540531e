"""Samplers: what a batch holds, and that it is a function of (seed, epoch)."""

import numpy as np
import pytest

from trainables.errors import ConfigError
from trainables.training.config import Balanced, Shuffled
from trainables.training.samplers import Batches, balanced, shuffled

LABELS = np.repeat(np.arange(10), 7)


def test_shuffled_visits_every_image_once_and_keeps_the_short_batch() -> None:
    batches = shuffled(Shuffled(), LABELS, batch_size=32, seed=0, epoch=0)
    assert [len(batch) for batch in batches] == [32, 32, 6]
    assert sorted(np.concatenate(batches)) == list(range(70))


def test_shuffled_drops_the_last_batch_on_request_and_always_one_of_a_single_image() -> None:
    assert [len(b) for b in shuffled(Shuffled(drop_last=True), LABELS, batch_size=32, seed=0, epoch=0)] == [32, 32]
    assert [len(b) for b in shuffled(Shuffled(), LABELS[:65], batch_size=32, seed=0, epoch=0)] == [32, 32]
    assert [len(b) for b in shuffled(Shuffled(drop_last=True), LABELS[:20], batch_size=32, seed=0, epoch=0)] == [20]


def test_balanced_batches_have_distinct_classes_and_distinct_images() -> None:
    batches = balanced(Balanced(images_per_class=4), LABELS, batch_size=32, seed=0, epoch=3)
    assert len(batches) == 2
    for batch in batches:
        classes, counts = np.unique(LABELS[batch], return_counts=True)
        assert len(classes) == 8
        assert set(counts) == {4}
        assert len(np.unique(batch)) == 32


def test_balanced_repeats_images_of_classes_that_are_too_small() -> None:
    labels = np.repeat(np.arange(8), 2)
    (batch, *_) = balanced(Balanced(images_per_class=4), labels, batch_size=16, seed=0, epoch=0)
    assert len(batch) == 16
    assert len(np.unique(labels[batch])) == 4


@pytest.mark.parametrize(("batch_size", "images"), [(30, 4), (64, 4)])
def test_balanced_refuses_impossible_batches(batch_size: int, images: int) -> None:
    with pytest.raises(ConfigError, match=f"batch_size {batch_size}"):
        balanced(Balanced(images_per_class=images), LABELS, batch_size=batch_size, seed=0, epoch=0)


@pytest.mark.parametrize(("sampler", "config"), [(shuffled, Shuffled()), (balanced, Balanced(images_per_class=4))])
def test_order_depends_on_seed_and_epoch_alone(sampler, config) -> None:  # type: ignore[no-untyped-def]
    def order(seed: int, epoch: int) -> list[int]:
        np.random.rand(5)  # a global stream must not matter
        return list(np.concatenate(sampler(config, LABELS, batch_size=32, seed=seed, epoch=epoch)))

    assert order(1, 2) == order(1, 2)
    assert order(1, 2) != order(1, 3)
    assert order(1, 2) != order(2, 2)


def passes_of(*lengths: int) -> tuple[list[int], Batches]:
    """Batches of passes of some lengths, with steps of 7; and the passes that were drawn."""
    drawn: list[int] = []

    def draw(number: int) -> list[np.ndarray]:
        drawn.append(number)
        length = lengths[number % len(lengths)]
        return [np.array([number, step]) for step in range(length)]

    return drawn, Batches(draw, steps=7)


@pytest.mark.parametrize("lengths", [(5,), (3, 1, 8), (7,), (50,)])
def test_epochs_of_some_steps_are_one_stream_of_passes(lengths: tuple[int, ...]) -> None:
    drawn, batches = passes_of(*lengths)
    stream = [(number, step) for number in range(60) for step in range(lengths[number % len(lengths)])]
    epochs = [[tuple(batch) for batch in batches.of(epoch)] for epoch in range(8)]
    assert [len(epoch) for epoch in epochs] == [7] * 8
    assert [batch for epoch in epochs for batch in epoch] == stream[:56]
    assert drawn == sorted(set(drawn)), "a pass is drawn once as epochs go on"


def test_an_epoch_of_some_steps_depends_on_its_number_alone() -> None:
    _, whole = passes_of(5, 3)
    expected = [np.stack(whole.of(epoch)).tolist() for epoch in range(6)]
    for order in ((4,), (2, 3), (5, 1, 1, 0)):
        _, batches = passes_of(5, 3)
        for epoch in order:
            assert np.stack(batches.of(epoch)).tolist() == expected[epoch]


def test_without_a_number_of_steps_an_epoch_is_a_pass() -> None:
    batches = Batches(lambda number: [np.array([number])] * 3)
    assert [len(batches.of(epoch)) for epoch in (0, 4)] == [3, 3]
    assert batches.of(4)[0] == 4
