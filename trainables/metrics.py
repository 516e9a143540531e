"""What the name of a metric says about it. Free of torch: planning and analysis import it."""

__all__ = ["best", "lower_is_better", "needs_targets", "sign"]

LABEL_DISTANCE = "label_distance_at_"
"""Mean distance of continuous labels to the k nearest images, in the labels' own unit."""
NDCG = "ndcg_at_"
"""How near the order of embeddings is to the order of continuous labels, among the k nearest; at most 1."""


def needs_targets(metric: str) -> bool:
    """Whether it compares continuous labels, which datasets of classes do not have."""
    return metric.startswith((LABEL_DISTANCE, NDCG))


def lower_is_better(metric: str) -> bool:
    """Whether small values are good."""
    return metric.startswith(LABEL_DISTANCE)


def sign(metric: str) -> int:
    """Times a value it is a score: larger is better."""
    return -1 if lower_is_better(metric) else 1


def best(metric: str, first: float, second: float) -> float:
    """The better of two values."""
    return min(first, second) if lower_is_better(metric) else max(first, second)
