"""Metrics of embeddings. Names are loaded on first use: importing this package imports no torch."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainables.evaluation.continuous import label_report
    from trainables.evaluation.retrieval import Retrieval, retrieval_metrics, retrieval_report

__all__ = ["Retrieval", "label_report", "retrieval_metrics", "retrieval_report"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from trainables.evaluation import continuous, retrieval

    return getattr(continuous if name == "label_report" else retrieval, name)
