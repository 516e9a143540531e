"""Wrong labels and fewer classes in the training part of a split: how many, which, and what stays as it is."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainables.config import RunConfig
from trainables.datasets.robustness import class_subset, noisy_labels, training_set_figures, with_training_set
from trainables.datasets.splits import Split, split_classes
from trainables.training.build import build_strategy
from trainables.training.config import TrainingSet
from trainables.training.data import load_run_data
from trainables.training.record import run_row

LABELS = np.repeat(np.arange(10), 30)


def split() -> Split:
    """30 images each of training classes 0..11, of which fold 0 of 4 validates, and of test classes 12..15."""
    labels = np.repeat(np.arange(16), 30)
    parts = np.where(labels < 12, "train", "test")
    return split_classes(labels, parts, folds=4, fold=0, dataset_revision="r")


class TestNoisyLabels:
    @pytest.mark.parametrize(("rate", "wrong"), [(0, 0), (0.1, 30), (0.333, 100), (0.5, 150), (1, 300)])
    @pytest.mark.parametrize("kind", ["symmetric", "pair_flip"])
    def test_exactly_the_share_is_wrong(self, rate: float, wrong: int, kind: Any) -> None:
        noisy = noisy_labels(LABELS, rate=rate, kind=kind, seed=0)
        assert int((noisy != LABELS).sum()) == wrong
        assert (noisy.dtype, noisy.min() >= 0, noisy.max() <= 9) == (np.int64, True, True)

    def test_symmetric_noise_is_uniform_over_the_other_classes(self) -> None:
        labels = np.repeat(np.arange(4), 3000)
        counts = np.zeros((4, 4))
        np.add.at(counts, (labels, noisy_labels(labels, rate=0.6, kind="symmetric", seed=0)), 1)
        assert counts.sum(axis=1).tolist() == [3000] * 4
        for row in range(4):
            assert counts[row, row] == pytest.approx(1200, abs=100)
            assert np.delete(counts[row], row) == pytest.approx([600] * 3, abs=80)

    def test_pair_flip_takes_the_next_class(self) -> None:
        noisy = noisy_labels(LABELS, rate=0.4, kind="pair_flip", seed=0)
        wrong = noisy != LABELS
        assert (noisy[wrong] == (LABELS[wrong] + 1) % 10).all()
        assert {0, 9} <= set(LABELS[wrong].tolist()), "the last class becomes the first"

    def test_by_hand_with_everything_flipped(self) -> None:
        labels = np.array([0, 2, 1, 2])
        assert noisy_labels(labels, rate=1, kind="pair_flip", seed=5).tolist() == [1, 0, 2, 0]
        two = np.array([0, 1, 1, 0])
        assert noisy_labels(two, rate=1, kind="symmetric", seed=5).tolist() == [1, 0, 0, 1], "one other class"

    @pytest.mark.parametrize("kind", ["symmetric", "pair_flip"])
    def test_a_function_of_the_seed_and_nested_over_rates(self, kind: Any) -> None:
        few, again, more = (noisy_labels(LABELS, rate=r, kind=kind, seed=1) for r in (0.2, 0.2, 0.4))
        other = noisy_labels(LABELS, rate=0.2, kind=kind, seed=2)
        assert np.array_equal(few, again)
        assert not np.array_equal(few, other)
        wrong = few != LABELS
        assert np.array_equal(few[wrong], more[wrong]), "a higher rate keeps the errors of a lower one"

    def test_an_image_is_treated_alike_in_whatever_set_it_stands(self) -> None:
        images = np.arange(300)
        whole = noisy_labels(LABELS, rate=0.3, kind="pair_flip", seed=0, images=images)
        half = noisy_labels(LABELS[::2], rate=0.3, kind="pair_flip", seed=0, images=images[::2])
        assert int((whole[::2] != half).sum()) <= 15, "only at the border of the exact number"

    def test_the_labels_given_are_not_touched(self) -> None:
        before = LABELS.copy()
        for rate in (0.0, 0.5):
            assert noisy_labels(LABELS, rate=rate, kind="symmetric", seed=0) is not LABELS
        assert np.array_equal(LABELS, before)

    @pytest.mark.parametrize("rate", [-0.1, 1.1, float("nan")])
    def test_rates_out_of_bounds(self, rate: float) -> None:
        with pytest.raises(ValueError, match="share of the labels"):
            noisy_labels(LABELS, rate=rate, kind="symmetric", seed=0)

    def test_one_class_has_no_other(self) -> None:
        with pytest.raises(ValueError, match="two classes"):
            noisy_labels(np.zeros(5, dtype=np.int64), rate=0.5, kind="symmetric", seed=0)


class TestClassSubset:
    @pytest.mark.parametrize(("fraction", "count"), [(1.0, 20), (0.5, 10), (0.26, 5), (0.1, 2), (0.01, 2)])
    def test_its_size(self, fraction: float, count: int) -> None:
        chosen = class_subset(np.arange(20), fraction, 0)
        assert len(set(chosen.tolist())) == len(chosen) == count
        assert np.array_equal(chosen, np.sort(chosen))

    def test_smaller_ones_lie_within_larger_ones(self) -> None:
        chosen = [set(class_subset(np.arange(40), fraction, 3).tolist()) for fraction in (0.1, 0.25, 0.5, 0.9)]
        assert chosen[0] < chosen[1] < chosen[2] < chosen[3]

    def test_seeds_choose_differently_and_every_class_has_its_turn(self) -> None:
        chosen = [frozenset(class_subset(np.arange(20), 0.5, seed).tolist()) for seed in range(20)]
        assert len(set(chosen)) == 20
        counts = [sum(label in subset for subset in chosen) for label in range(20)]
        assert min(counts) > 2
        assert max(counts) < 18

    @pytest.mark.parametrize("fraction", [0, -1, 1.01])
    def test_fractions_out_of_bounds(self, fraction: float) -> None:
        with pytest.raises(ValueError, match="share of the classes"):
            class_subset(np.arange(4), fraction, 0)


class TestSplit:
    CONFIG = TrainingSet(label_noise=0.25, class_fraction=0.5)

    def test_nothing_asked_for_is_nothing_done(self) -> None:
        given = split()
        assert with_training_set(given, TrainingSet(), seed=0) is given
        assert training_set_figures(given, np.repeat(np.arange(16), 30), TrainingSet()) == {}

    def test_validation_and_test_stay(self) -> None:
        given = split()
        changed = with_training_set(given, self.CONFIG, seed=0)
        for part in ("val", "test"):
            for field in (part, f"{part}_labels", f"{part}_classes"):
                assert getattr(changed, field) is getattr(given, field)

    def test_classes_are_counted_anew(self) -> None:
        """Round(0.5 * 9) = 4 classes of 30 images; labels 0..3 stand for the classes that are left."""
        given = split()
        changed = with_training_set(given, TrainingSet(class_fraction=0.5), seed=0)
        labels = np.repeat(np.arange(16), 30)
        assert len(changed.train_classes) == 4
        assert set(changed.train_classes.tolist()) < set(given.train_classes.tolist())
        assert np.array_equal(changed.train_classes[changed.train_labels], labels[changed.train])
        assert np.bincount(changed.train_labels).tolist() == [30] * 4

    def test_noise_falls_among_the_classes_that_are_left(self) -> None:
        changed = with_training_set(split(), self.CONFIG, seed=0)
        figures = training_set_figures(changed, np.repeat(np.arange(16), 30), self.CONFIG)
        assert figures == {"training_labels_flipped": 30, "training_images": 120, "training_classes": 4}
        assert set(changed.train_labels.tolist()) == {0, 1, 2, 3}


class TestRuns:
    def changed(self, run: RunConfig, **values: Any) -> RunConfig:
        return RunConfig.model_validate({**run.model_dump(), "training_set": values})

    def test_the_data_of_a_run(self, tiny_run: RunConfig, private_cache: Path) -> None:
        """24 glyphs x 8 images; half of them train, a quarter of these validate."""
        clean = load_run_data(tiny_run, cache=private_cache).split
        run = self.changed(tiny_run, label_noise=0.25, class_fraction=0.5)
        noisy = load_run_data(run, cache=private_cache).split
        assert len(noisy.train_classes) == round(0.5 * len(clean.train_classes))
        again = load_run_data(run, cache=private_cache).split
        assert np.array_equal(noisy.train_labels, again.train_labels)
        other = load_run_data(run.model_copy(update={"seed": 9}), cache=private_cache).split
        assert not np.array_equal(noisy.train, other.train)

    def test_ids(self, tiny_run: RunConfig) -> None:
        assert self.changed(tiny_run).run_id() == tiny_run.run_id()
        assert self.changed(tiny_run, label_noise_kind="pair_flip").run_id() == tiny_run.run_id()
        noisy = self.changed(tiny_run, label_noise=0.2)
        assert len({run.run_id() for run in (tiny_run, noisy, self.changed(tiny_run, class_fraction=0.5))}) == 3

    def test_the_number_of_wrong_labels_is_in_the_row(self, tiny_run: RunConfig, private_cache: Path) -> None:
        values = {**tiny_run.model_dump(), "training_set": {"label_noise": 0.25}}
        run = RunConfig.model_validate({**values, "training": {"epochs": 1, "batch_size": 16}})
        strategy: Any = build_strategy(run, cache=private_cache)
        strategy.epoch()
        outcome = strategy.outcome()
        images = len(strategy.data.split.train)
        assert outcome.extra["training_labels_flipped"] == round(0.25 * images)
        row = run_row(
            run,
            **{"run_id": run.run_id(), "attempt": "a", "attempts": 1, "status": "complete", "study": "s"},  # type: ignore[arg-type]
            **{"outcome": outcome, "epochs_trained": 1, "epoch_rows": [], "wall_seconds": 1.0, "error": None},  # type: ignore[arg-type]
            started_at=datetime.now(UTC),
        )
        assert row["extra"]["training_labels_flipped"] == round(0.25 * images)
        assert row["extra"]["training_images"] == images
        assert "test_recall_at_2" in row["extra"]
