"""Metrics of embeddings. Names are loaded on first use: importing this package imports no torch."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainables.evaluation.continuous import label_report
    from trainables.evaluation.retrieval import Retrieval, retrieval_metrics, retrieval_report
    from trainables.evaluation.scores import score

_HOMES = {
    "Retrieval": "retrieval",
    "label_report": "continuous",
    "retrieval_metrics": "retrieval",
    "retrieval_report": "retrieval",
    "score": "scores",
}

__all__ = ["Retrieval", "label_report", "retrieval_metrics", "retrieval_report", "score"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"trainables.evaluation.{_HOMES[name]}"), name)
