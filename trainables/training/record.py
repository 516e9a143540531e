"""The row of table `runs` that describes one finished or failed run."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from trainables import provenance
from trainables.config import RunConfig
from trainables.strategies.base import Outcome
from trainables.training.gpu_memory import peak_memory
from trainables.training.measure import columns


def run_row(
    run: RunConfig,
    *,
    run_id: str,
    attempt: str,
    attempts: int,
    status: str,
    study: str,
    outcome: Outcome | None,
    epochs_trained: int,
    epoch_rows: list[dict[str, Any]],
    started_at: datetime,
    wall_seconds: float,
    error: str | None,
) -> dict[str, Any]:
    """All columns of one run; metrics are null where the run failed or never looked."""
    planned = max(epochs_trained, run.training.epochs) if run.strategy.trains else 0
    train_seconds = sum(row["train_seconds"] for row in epoch_rows)
    images = sum(row["images_per_second"] * row["train_seconds"] for row in epoch_rows)
    companions = _companions(epoch_rows)
    return {
        "run_id": run_id,
        "attempt": attempt,
        "status": status,
        "study": study,
        **_what(run),
        "epochs": planned,
        "epochs_trained": epochs_trained,
        # A complete run may have fewer epochs than planned: `protocol.patience` ends it.
        "fidelity": epochs_trained / planned if planned and status != "complete" else 1.0,
        "steps": sum(row["steps"] for row in epoch_rows),
        "final_train_loss": epoch_rows[-1]["train_loss"] if epoch_rows else None,
        "train_seconds": train_seconds,
        "eval_seconds": sum(row["eval_seconds"] for row in epoch_rows),
        "wall_seconds": wall_seconds / companions,  # what runs took together, shared out
        "images_per_second": images / train_seconds if train_seconds else None,
        "peak_gpu_memory": peak_memory() if run.device == "cuda" else None,
        "started_at": started_at,
        "ended_at": started_at + timedelta(seconds=wall_seconds),  # a clock that is set meanwhile moves neither
        "attempts": attempts,
        "host": provenance.host_name(),
        "device": run.device,
        "device_name": provenance.device_name(run.device),
        "git_commit": provenance.git_commit(),
        "versions": provenance.package_versions(),
        "error": error,
        "origin": None,
        "config": json.dumps(run.model_dump(mode="json"), sort_keys=True),
        **_results(outcome, companions),
    }


def _companions(epoch_rows: list[dict[str, Any]]) -> float:
    """How many runs trained together, where this one did; its last digits depend on that."""
    return max((row["extra"].get("fused", 1.0) for row in epoch_rows), default=1.0)


def _what(run: RunConfig) -> dict[str, Any]:
    return {
        "stage": run.stage,
        "dataset": run.dataset.title,
        "dataset_revision": run.dataset.revision,
        "backbone": run.backbone.name,
        "embedding_dim": run.embedding_dim,
        "loss": run.strategy.objective or run.loss.name,
        "synthesis": run.synthesis.name,
        "strategy": run.strategy.name,
        "seed": run.seed,
        "fold": run.fold,
    }


def _results(outcome: Outcome | None, companions: float) -> dict[str, Any]:
    fused = {"fused": companions} if companions > 1 else {}
    if outcome is None:
        return {"extra": fused}
    merged: dict[str, Any] = {"selected_epoch": outcome.selected_epoch, "extra": {**outcome.extra, **fused}}
    sources: Mapping[str, dict[str, float]] = {
        "val": outcome.validation,
        "test": outcome.test,
        "best_test": outcome.best_test,
    }
    for prefix, metrics in sources.items():
        values = columns(prefix, metrics)
        merged["extra"].update(values.pop("extra"))
        merged.update(values)
    return merged


def epoch_line(row: dict[str, Any]) -> str:
    """A row of table `epochs` for a log."""
    parts = [f"{row['phase']} epoch {row['epoch']}", f"loss {row['train_loss']:.4f}"]
    parts += [f"{key} {row[key]:.4f}" for key in row if key.startswith(("val_", "test_"))]
    return ", ".join([*parts, f"{row['images_per_second']:.0f} images/s"])


def outcome_line(outcome: Outcome) -> str:
    """A run's test metrics for its log."""
    metrics = ", ".join(f"{key} {value:.4f}" for key, value in outcome.test.items())
    return f"done: epoch {outcome.selected_epoch} selected; test {metrics or 'not looked at'}"
