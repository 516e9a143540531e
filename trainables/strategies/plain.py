"""The plain strategy: train, select the epoch on validation classes, optionally refit on all training classes."""

import math
import time
from typing import Any, Literal

from trainables.config import RunConfig
from trainables.datasets.robustness import training_set_figures
from trainables.metrics import best, sign
from trainables.strategies.base import Artifacts, EpochRow, Outcome, no_artifacts
from trainables.training.data import RunData
from trainables.training.deformed import deformed_metrics
from trainables.training.fit import Fit
from trainables.training.measure import class_rows, columns, measure


class Plain:
    """Epochs of steps on the training classes with evaluations in between.

    Phase `select` trains without the held-out classes and keeps the weights of the best validation epoch (the earliest
    of equals); it ends early where `protocol.patience` evaluations brought no better one. With `protocol.refit`, phase
    `refit` then trains from scratch on all training classes, as many epochs as were selected.
    Test classes are looked at once, at the end, unless the protocol says otherwise.
    """

    def __init__(
        self, run: RunConfig, data: RunData, all_classes: RunData, *, artifacts: Artifacts = no_artifacts
    ) -> None:
        """
        Args:
            data: with held-out classes.
            all_classes: with all training classes, for the refit.
            artifacts: reads what other runs kept.
        """
        self.run, self.data, self.all_classes, self.artifacts = run, data, all_classes, artifacts
        self.phase = "select"
        self.fit = self._new_fit(data, epochs=run.training.epochs)
        patient = run.protocol.patience is not None
        self._grace_epochs = run.synthesis.grace_epochs_at(self.fit.steps_per_epoch()) if patient else 0
        self.selected: dict[str, Any] = {"epoch": 0, "score": -math.inf, "metrics": {}, "weights": {}}
        self.best_test: dict[str, float] = {}

    def _new_fit(self, data: RunData, *, epochs: int) -> Fit:
        """A fit from scratch; strategies with an objective of their own give another one."""
        return Fit(self.run, data, epochs=epochs)

    def _evaluated(self, metrics: dict[str, float]) -> dict[str, float]:
        """After an evaluation on validation classes; returns figures for the epoch's row."""
        return {}

    @property
    def finished(self) -> bool:
        return self._phase_over and (self.phase == "refit" or not self.run.protocol.refit)

    @property
    def epochs_done(self) -> int:
        return self.fit.epoch + (self._select_epochs if self.phase == "refit" else 0)

    @property
    def epochs_planned(self) -> int:
        if self.phase == "refit":
            return self._select_epochs + self.fit.epochs
        return self.fit.epoch if self._phase_over else self.run.training.epochs

    @property
    def _phase_over(self) -> bool:
        return self.fit.epoch >= (self.fit.epochs if self.phase == "refit" else self._select_epochs)

    @property
    def _select_epochs(self) -> int:
        """Epochs of phase `select` if no evaluation to come is better than the best so far."""
        epochs, protocol = self.run.training.epochs, self.run.protocol
        if protocol.patience is None or protocol.selection == "last":
            return epochs
        start: int = max(self.selected["epoch"], self._grace_epochs)
        return min(epochs, (start // protocol.evaluate_every + protocol.patience) * protocol.evaluate_every)

    def epoch(self) -> EpochRow:
        if self.phase == "select" and self._phase_over:
            self._start_refit()
        stats = self.fit.train_epoch()
        start = time.perf_counter()
        evaluated = self._evaluate() if self._evaluation_due(self.fit.epoch) else {}
        extra = {**self.fit.synthesis.epoch_metrics(), **evaluated.pop("extra", {})}
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
        self.fit = self._new_fit(self.all_classes, epochs=self.selected["epoch"])

    def _evaluation_due(self, epoch: int) -> bool:
        return epoch % self.run.protocol.evaluate_every == 0 or epoch == self.fit.epochs

    @property
    def _validates(self) -> bool:
        """Whether evaluations look at validation classes."""
        return self.phase == "select" and self.run.protocol.selection == "best_validation"

    def _evaluate(self) -> dict[str, Any]:
        """Validation metrics (and test metrics where the protocol asks for them) as columns; keeps the best epoch."""
        result: dict[str, Any] = {}
        metrics: dict[str, float] = {}
        if self._validates:
            metrics = self._measure("val")
            result = columns("val", metrics)
        if self.run.protocol.test == "every_eval":
            test = self._measure("test")
            self.best_test = {key: best(key, value, self.best_test.get(key, value)) for key, value in test.items()}
            test_columns = columns("test", test)
            result = {**result, **test_columns, "extra": {**result.get("extra", {}), **test_columns["extra"]}}
        self._select(metrics)
        if metrics:
            result["extra"] = {**result["extra"], **self._evaluated(metrics)}
        return result

    def _measure(self, part: Literal["val", "test"]) -> dict[str, float]:
        split = self.data.split
        embeddings = self.fit.embed(split.val if part == "val" else split.test)
        return measure(self.run, self.data, embeddings, part).metrics

    def _select(self, metrics: dict[str, float]) -> None:
        last = self.fit.epoch == self.fit.epochs
        if metrics:
            score = sign(self.run.protocol.select_by) * metrics[self.run.protocol.select_by]
            if score > self.selected["score"]:
                self._keep(score, metrics)
        elif last and self.phase == "select":
            self._keep(math.nan, {})

    def _keep(self, score: float, metrics: dict[str, float]) -> None:
        self.selected = {
            "epoch": self.fit.epoch,
            "score": score,
            "metrics": metrics,
            "weights": self.fit.kept(),
        }

    def outcome(self) -> Outcome:
        if self.phase == "select":
            self.fit.load_weights(self.selected["weights"])
        shared = {
            "selected_epoch": self.selected["epoch"],
            "validation": self.selected["metrics"],
            "best_test": self.best_test,
            "weights": self.selected["weights"] if self.phase == "select" else self.fit.kept(),
        }
        extra = training_set_figures(self.fit.data.split, self.data.images.labels, self.run.training_set)
        if self.run.protocol.test == "never":
            return Outcome(test={}, extra=extra, **shared)
        split = self.data.split
        embeddings = self.fit.embed(split.test)
        report = measure(self.run, self.data, embeddings, "test")
        layout = self.run.training.memory_format
        extra |= deformed_metrics(self.run, self.data, self.fit.model, report.metrics, layout=layout)
        return Outcome(
            test=report.metrics,
            classes=class_rows(report, test_class_names(self.data)),
            test_embeddings=embeddings.cpu(),
            extra=extra,
            **shared,
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
