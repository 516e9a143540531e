"""Several sets of embeddings at once have the metrics that each has by itself."""

import numpy as np
import pytest
import torch
from torch import Tensor

from trainables.evaluation import retrieval_report, stacked
from trainables.evaluation.scoring import Distance
from trainables.evaluation.stacked import stacked_metrics
from trainables.testing.operators import Operators

SETS, DEPTHS = 5, (1, 3, 200)


def labels_of(case: str) -> np.ndarray:
    random = np.random.default_rng(0)
    sizes = {
        "even": [6] * 10,
        "uneven": [1, 1, 2, 3, 40, 7],
        "one class": [9],
        "pairs": [2] * 8,
    }[case]
    return random.permutation(np.repeat(np.arange(len(sizes)) * 3, sizes)).astype(np.int64)


def alone(embeddings: Tensor, labels: np.ndarray, distance: Distance) -> dict[str, float]:
    return retrieval_report(embeddings, torch.from_numpy(labels), ks=DEPTHS, distance=distance).metrics


@pytest.mark.parametrize("chunk_elements", [None, 1, 2000])
@pytest.mark.parametrize("distance", ["cosine", "euclidean", "lipschitz"])
@pytest.mark.parametrize("case", ["even", "uneven", "one class", "pairs"])
def test_metrics_are_those_of_each_set(case: str, distance: Distance, chunk_elements: int | None) -> None:
    labels = labels_of(case)
    embeddings = torch.randn(SETS, len(labels), 4, generator=torch.Generator().manual_seed(1))
    found = stacked_metrics(embeddings, labels, ks=DEPTHS, distance=distance, chunk_elements=chunk_elements)
    for each, metrics in zip(embeddings, found, strict=True):
        assert metrics == pytest.approx(alone(each, labels, distance), abs=1e-12)


def test_items_at_the_same_distance_come_after_wrong_ones() -> None:
    """Different rows, equal scores: points on a grid."""
    labels = np.asarray([0, 0, 1, 1, 0, 1])
    grid = torch.tensor([[[0.0, 0], [1, 0], [0, 1], [-1, 0], [0, -1], [2, 0]]])
    (found,) = stacked_metrics(grid, labels, ks=DEPTHS, distance="euclidean")
    assert found == alone(grid[0], labels, "euclidean")
    assert found is not None
    assert found["recall_at_1"] == 1 / 6, "of (0, -1) alone the nearest has no wrong one beside it"


def test_equal_items_have_equal_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their products may differ in the last bits, which would break ties: a network of one point scores 0."""
    labels = labels_of("even")
    embeddings = torch.randn(3, len(labels), 64, generator=torch.Generator().manual_seed(1))
    embeddings[0] = embeddings[0, 0]
    embeddings[1, 30:] = embeddings[1, :30]
    embeddings[2, 7], embeddings[2, 8] = torch.zeros(64), torch.tensor(-0.0).expand(64)
    found = stacked_metrics(embeddings, labels, ks=DEPTHS, distance="cosine")
    assert found == [pytest.approx(alone(each, labels, "cosine"), abs=1e-12) for each in embeddings]
    assert found[0] == {
        **dict.fromkeys(("recall_at_1", "recall_at_3", "r_precision", "map_at_r"), 0),
        "recall_at_200": 1,
    }


def test_sets_that_have_to_be_looked_at_more_closely(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = labels_of("even")
    embeddings = torch.randn(4, len(labels), 4, generator=torch.Generator().manual_seed(1))
    embeddings[1, 0, 0] = torch.nan
    embeddings[2, 0, 0] = torch.inf
    found = stacked_metrics(embeddings, labels, ks=DEPTHS, distance="cosine")
    assert [metrics is None for metrics in found] == [False, True, True, False]
    assert stacked_metrics(embeddings, np.arange(60), ks=DEPTHS, distance="cosine") == [None] * 4
    monkeypatch.setattr(stacked, "hashes", lambda vectors: torch.zeros(vectors.shape[:2], dtype=torch.int64))
    embeddings[3] = 1
    found = stacked_metrics(embeddings, labels, ks=DEPTHS, distance="cosine")
    assert [metrics is None for metrics in found] == [True, True, True, False], "different rows with equal hashes"


def test_sparse_embeddings_are_told_apart() -> None:
    """Most rows share most of their numbers."""
    labels = labels_of("even")
    embeddings = torch.randn(3, len(labels), 32, generator=torch.Generator().manual_seed(1)).sub(1).relu()
    embeddings[:, :, :4] = 0
    found = stacked_metrics(embeddings, labels, ks=DEPTHS, distance="cosine")
    assert found == [pytest.approx(alone(each, labels, "cosine"), abs=1e-12) for each in embeddings]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("distance", ["cosine", "euclidean", "lipschitz"])
def test_other_precisions_and_no_depth(distance: Distance, dtype: torch.dtype) -> None:
    labels = labels_of("even")
    embeddings = torch.randn(2, len(labels), 5, generator=torch.Generator().manual_seed(1)).to(dtype)
    found = stacked_metrics(embeddings, labels, ks=[], distance=distance)
    for each, metrics in zip(embeddings, found, strict=True):
        expected = retrieval_report(each, torch.from_numpy(labels), ks=[], distance=distance).metrics
        assert metrics == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
def test_a_set_has_the_same_bits_beside_others(distance: Distance) -> None:
    labels = labels_of("uneven")
    embeddings = torch.randn(SETS, len(labels), 4, generator=torch.Generator().manual_seed(1))
    other = embeddings.clone()
    other[[0, 1, 3, 4]] = torch.randn(SETS - 1, len(labels), 4) * 100
    first, second = (stacked_metrics(each, labels, ks=DEPTHS, distance=distance)[2] for each in (embeddings, other))
    assert first == second


def test_operators_do_not_grow_with_the_number_of_sets() -> None:
    labels, counts = labels_of("even"), []
    for sets in (2, 8):
        with Operators() as operators:
            stacked_metrics(torch.randn(sets, len(labels), 4), labels, ks=DEPTHS, distance="cosine")
        counts.append(operators.total)
    assert counts[0] == counts[1] > 10
