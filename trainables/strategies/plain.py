"""The plain strategy: train, select the epoch on validation classes, optionally refit on all training classes."""

import math
import time
from typing import Any

import numpy as np

from trainables.config import RunConfig
from trainables.strategies.base import EpochRow, Outcome
from trainables.training.data import RunData
from trainables.training.fit import Fit
from trainables.training.measure import class_rows, columns, measure


class Plain:
    """Epochs of steps on the training classes with evaluations in between.

    Phase `select` trains without the held-out classes and keeps the weights of the best validation epoch (the earliest
    of equals). With `protocol.refit`, phase `refit` then trains from scratch on all training classes, as many epochs.
    Test classes are looked at once, at the end, unless the protocol says otherwise.
    """

    def __init__(self, run: RunConfig, data: RunData, all_classes: RunData) -> None:
        """Args: data: with held-out classes; all_classes: with all training classes, for the refit."""
        self.run, self.data, self.all_classes = run, data, all_classes
        self.phase = "select"
        self.fit = Fit(run, data, epochs=run.training.epochs)
        self.selected: dict[str, Any] = {"epoch": 0, "score": -math.inf, "metrics": {}, "weights": {}}
        self.best_test: dict[str, float] = {}

    @property
    def finished(self) -> bool:
        return self.fit.epoch >= self.fit.epochs and (self.phase == "refit" or not self.run.protocol.refit)

    @property
    def epochs_done(self) -> int:
        return self.fit.epoch + (self.run.training.epochs if self.phase == "refit" else 0)

    @property
    def epochs_planned(self) -> int:
        epochs = self.run.training.epochs
        return epochs + self.fit.epochs if self.phase == "refit" else epochs

    def epoch(self) -> EpochRow:
        if self.phase == "select" and self.fit.epoch >= self.fit.epochs:
            self._start_refit()
        stats = self.fit.train_epoch()
        start = time.perf_counter()
        evaluated = self._evaluate() if self._evaluation_due() else {}
        extra = evaluated.pop("extra", {})
        return {
            "phase": self.phase,
            "epoch": self.fit.epoch,
            **stats.__dict__,
            **evaluated,
            "extra": extra,
            "eval_seconds": time.perf_counter() - start,
        }

    def _start_refit(self) -> None:
        """From scratch; of the phase before, only the selected epoch and its validation metrics are still needed."""
        self.phase = "refit"
        self.selected = {**self.selected, "weights": {}}
        self.best_test = {}
        self.fit = Fit(self.run, self.all_classes, epochs=self.selected["epoch"])

    def _evaluation_due(self) -> bool:
        return self.fit.epoch % self.run.protocol.evaluate_every == 0 or self.fit.epoch == self.fit.epochs

    def _evaluate(self) -> dict[str, Any]:
        """Validation metrics (and test metrics where the protocol asks for them) as columns; keeps the best epoch."""
        result: dict[str, Any] = {}
        metrics: dict[str, float] = {}
        if self.phase == "select" and self.run.protocol.selection == "best_validation":
            metrics = self._measure(self.data.split.val, self.data.split.val_labels)
            result = columns("val", metrics)
        if self.run.protocol.test == "every_eval":
            test = self._measure(self.data.split.test, self.data.split.test_labels)
            better = {key: max(value, self.best_test.get(key, -math.inf)) for key, value in test.items()}
            self.best_test = better
            test_columns = columns("test", test)
            result = {**result, **test_columns, "extra": {**result.get("extra", {}), **test_columns["extra"]}}
        self._select(metrics)
        return result

    def _measure(self, positions: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        return measure(self.run, self.fit.embed(positions), labels).metrics

    def _select(self, metrics: dict[str, float]) -> None:
        last = self.fit.epoch == self.fit.epochs
        if metrics:
            score = metrics[self.run.protocol.select_by]
            if score > self.selected["score"]:
                self._keep(score, metrics)
        elif last and self.phase == "select":
            self._keep(math.nan, {})

    def _keep(self, score: float, metrics: dict[str, float]) -> None:
        self.selected = {
            "epoch": self.fit.epoch,
            "score": score,
            "metrics": metrics,
            "weights": self.fit.weights(),
        }

    def outcome(self) -> Outcome:
        if self.phase == "select":
            self.fit.load_weights(self.selected["weights"])
        shared = {
            "selected_epoch": self.selected["epoch"],
            "validation": self.selected["metrics"],
            "best_test": self.best_test,
            "weights": self.fit.weights(),
        }
        if self.run.protocol.test == "never":
            return Outcome(test={}, **shared)
        split = self.data.split
        embeddings = self.fit.embed(split.test)
        report = measure(self.run, embeddings, split.test_labels)
        names = test_class_names(self.data)
        return Outcome(
            test=report.metrics, classes=class_rows(report, names), test_embeddings=embeddings.cpu(), **shared
        )

    def state_dict(self) -> dict[str, Any]:
        return {
            "phase": self.phase,
            "fit": self.fit.state_dict(),
            "selected": self.selected,
            "best_test": self.best_test,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.selected = state["selected"]
        if state["phase"] == "refit":
            self._start_refit()
        self.best_test = state["best_test"]
        self.fit.load_state_dict(state["fit"])


def test_class_names(data: RunData) -> list[str]:
    """Names of the test classes, by their label in the split."""
    return [data.images.class_names[label] for label in data.split.test_classes]
