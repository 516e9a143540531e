"""`score`: every metric of the field, against its definition and pytorch-metric-learning."""

import numpy as np
import pytest
import torch
from pytorch_metric_learning.distances import CosineSimilarity, LpDistance
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
from pytorch_metric_learning.utils.inference import CustomKNN
from torch import Tensor

from trainables.errors import ConfigError
from trainables.evaluation import retrieval_metrics, score
from trainables.evaluation.names import DEFAULT_METRICS, MetricName, metric_name
from trainables.evaluation.scores import cluster

THEIRS = {
    "precision_at_1": "recall_at_1",
    "r_precision": "r_precision",
    "mean_average_precision_at_r": "map_at_r",
    "mean_average_precision": "map",
    "mean_reciprocal_rank": "mrr",
    "NMI": "nmi",
    "AMI": "ami",
}


def made_up(rows: int = 90, classes: int = 6, *, seed: int = 0) -> tuple[Tensor, Tensor]:
    source = torch.Generator().manual_seed(seed)
    labels = torch.arange(rows) % classes
    centers = torch.randn(classes, 5, generator=source, dtype=torch.float64)
    return centers[labels] + torch.randn(rows, 5, generator=source, dtype=torch.float64), labels


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
@pytest.mark.parametrize("with_gallery", [False, True])
def test_equals_pytorch_metric_learning(distance: str, with_gallery: bool) -> None:
    vectors, labels = made_up()
    gallery, gallery_labels = made_up(70, seed=1) if with_gallery else (None, None)
    theirs = {"cosine": CosineSimilarity(), "euclidean": LpDistance(normalize_embeddings=False)}[distance]
    calculator = AccuracyCalculator(
        include=[name for name in THEIRS if not (with_gallery and name in ("NMI", "AMI"))],
        k=None if with_gallery else len(vectors) - 1,
        device=torch.device("cpu"),
        knn_func=CustomKNN(theirs, batch_size=32),
        kmeans_func=lambda query, count: torch.from_numpy(cluster(query, count, distance=distance)),  # type: ignore[arg-type]
    )
    if with_gallery:
        calculator.k = len(gallery)  # type: ignore[arg-type]
    expected = calculator.get_accuracy(vectors, labels, gallery, gallery_labels, ref_includes_query=not with_gallery)
    names = [THEIRS[name] for name in expected]
    found = score(
        *(vectors, labels),
        metrics=names,
        gallery=gallery,
        gallery_labels=gallery_labels,
        distance=distance,  # type: ignore[arg-type]
    )
    assert len(expected) == (5 if with_gallery else 7)
    assert found == pytest.approx({THEIRS[name]: value for name, value in expected.items()}, abs=1e-7)


def test_the_protocols_metrics_are_those_of_retrieval_metrics_bit_by_bit() -> None:
    vectors, labels = made_up()
    assert score(vectors.float(), labels) == retrieval_metrics(vectors.float(), labels)
    assert score(vectors.numpy(), labels.tolist()) == retrieval_metrics(vectors, labels)
    assert tuple(score(vectors, labels)) == DEFAULT_METRICS


def test_shares_are_means_in_double_precision() -> None:
    vectors, labels = made_up()
    found = score(vectors, labels, metrics=["precision_at_10"])["precision_at_10"]
    assert found * 10 * len(vectors) == pytest.approx(round(found * 10 * len(vectors)), abs=1e-10)


def test_ties_go_against_the_query_and_precision_counts_all_of_k() -> None:
    vectors = torch.tensor([[0.0], [0.0], [0.0], [5.0], [5.0], [9.0]])
    labels = torch.tensor([0, 0, 1, 1, 2, 3])
    # Query 0 (and 1): item 2 is as near as the right one: rank 2. Query 2: 0 and 1 at 0, then 4 ties with 3: rank 4.
    # Query 3: item 4 at 0, item 5 at 4, then 0, 1 and 2 tie at 5: rank 5. Queries 4 and 5 have no other of their class.
    ranks = np.array([2, 2, 4, 5])
    found = score(vectors, labels, metrics=["mrr", "map", "recall_at_4", "precision_at_4"], distance="euclidean")
    assert found["mrr"] == found["map"] == pytest.approx((1 / ranks).mean())
    assert found["recall_at_4"] == 0.75 and found["precision_at_4"] == 0.75 / 4


def test_collapsed_embeddings_have_the_worst_scores() -> None:
    _, labels = made_up(60)
    found = score(torch.zeros(60, 3), labels, metrics=["mrr", "map", "recall_at_50", "precision_at_16"])
    assert found["recall_at_50"] == found["precision_at_16"] == 0 and found["mrr"] == pytest.approx(1 / 51)


def test_clusters_see_what_the_distance_sees() -> None:
    directions = torch.tensor([[1.0, 0], [0, 1]]).repeat_interleave(6, 0)
    lengths = torch.tensor([1.0, 50]).repeat(6)[:, None]
    labels = torch.arange(2).repeat_interleave(6)
    by_angle = score(directions * lengths, labels, metrics=["nmi", "ami"])
    assert by_angle == pytest.approx({"nmi": 1.0, "ami": 1.0})
    assert score(directions * lengths, labels, metrics=["nmi"], distance="euclidean")["nmi"] < 0.8


def test_names_are_checked() -> None:
    assert metric_name("recall_at_16") == MetricName("recall_at_16", "recall", 16)
    assert metric_name("ndcg_at_10").needs_targets and not metric_name("map").needs_targets
    with pytest.raises(ConfigError, match="unknown metric 'recal_at_16'; did you mean 'recall_at_1"):
        metric_name("recal_at_16")
    for wrong in ("recall_at_0", "recall_at_", "recall", "map_at_10", "MAP", ""):
        with pytest.raises(ConfigError, match="unknown metric"):
            metric_name(wrong)


def test_what_cannot_be_scored_is_refused() -> None:
    vectors, labels = made_up(12)
    with pytest.raises(ValueError, match="among one class nothing can be wrong"):
        score(vectors, torch.full((12,), 7))
    with pytest.raises(ValueError, match="has another image of its class"):
        score(vectors, torch.arange(12))
    with pytest.raises(ValueError, match="NaN"):
        score(vectors.index_fill(0, torch.tensor([3]), torch.nan), labels)
    with pytest.raises(ValueError, match="belong together"):
        score(vectors, labels, gallery=vectors)
    with pytest.raises(ValueError, match="continuous labels"):
        score(vectors, labels, metrics=["ndcg_at_10"])
