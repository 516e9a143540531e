"""Names of metrics, as people write them. Free of torch: the command line checks them before any work."""

import re
from dataclasses import dataclass

from trainables.errors import ConfigError
from trainables.metrics import needs_targets
from trainables.spelling import nearest

__all__ = ["DEFAULT_METRICS", "MetricName", "metric_name"]

DEFAULT_METRICS = ("recall_at_1", "recall_at_2", "recall_at_4", "recall_at_8", "r_precision", "map_at_r")
CLUSTERING = ("nmi", "ami")

_WHOLE = ("r_precision", "map_at_r", "map", "mrr", *CLUSTERING)
_AT_DEPTH = ("recall", "precision", "label_distance", "ndcg")
_DEPTH = re.compile(rf"({'|'.join(_AT_DEPTH)})_at_([1-9]\d{{0,8}})")


@dataclass(frozen=True)
class MetricName:
    """A metric.

    Attributes:
        text: its name: "recall_at_16".
        kind: "recall".
        k: its depth; None where it has none.
    """

    text: str
    kind: str
    k: int | None = None

    @property
    def needs_targets(self) -> bool:
        """Whether it compares continuous labels."""
        return needs_targets(self.text)


def metric_name(text: str) -> MetricName:
    """
    Raises:
        ConfigError: no metric that can be computed from embeddings; the message has the nearest spelling.
    """
    if text in _WHOLE:
        return MetricName(text, text)
    if found := _DEPTH.fullmatch(text):
        return MetricName(text, found[1], int(found[2]))
    known = [*_WHOLE, *(f"{kind}_at_{k}" for kind in _AT_DEPTH for k in (1, 10))]
    shown = ", ".join([*_WHOLE, *(f"{kind}_at_K" for kind in _AT_DEPTH)])
    raise ConfigError(f"unknown metric '{text}'; {nearest(text, known)} (metrics: {shown}, such as recall_at_16)")
