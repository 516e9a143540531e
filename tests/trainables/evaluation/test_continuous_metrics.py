"""Mean label distance and nDCG against loops over queries and numbers by hand; ties, groups, chunks, refusals."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from trainables.datasets.targets import Targets
from trainables.evaluation import label_report


def line(*values: float, group: list[int] | None = None, period: float | None = None) -> Targets:
    groups = np.array(group or [0] * len(values), dtype=np.int64)
    return Targets(np.array(values, dtype=np.float64)[:, None], groups, period)


def points(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)[:, None]


def classes(count: int) -> Tensor:
    return torch.zeros(count, dtype=torch.int64)


def naive(e: Tensor, targets: Targets, k: int, distance: str, gallery: tuple[Tensor, Targets] | None = None) -> Any:
    """Per query (label distance, nDCG) at k, worst order among ties, in plain Python."""
    items, known = gallery or (e, targets)

    def embedding_distance(a: Tensor, b: Tensor) -> float:
        if distance == "cosine":
            a, b = a / a.norm(), b / b.norm()
        return round(float(((a - b) ** 2).sum()), 12)

    def label_distance(i: int, j: int) -> float:
        difference = [abs(float(x) - float(y)) for x, y in zip(targets.values[i], known.values[j], strict=True)]
        if targets.period is not None:
            difference = [min(d % targets.period, targets.period - d % targets.period) for d in difference]
        return math.sqrt(sum(d * d for d in difference))

    results = []
    for i in range(len(e)):
        mates = [j for j in range(len(items)) if known.group[j] == targets.group[i] and (gallery or j != i)]
        ranked = sorted(mates, key=lambda j: (embedding_distance(e[i], items[j]), -label_distance(i, j)))
        found = [label_distance(i, j) for j in ranked][:k]
        ideal = sorted(label_distance(i, j) for j in mates)[:k]
        gains = [sum(1 / (1 + d) / math.log2(r + 2) for r, d in enumerate(order)) for order in (found, ideal)]
        if mates:
            results.append((sum(found) / len(found), gains[0] / gains[1]))
    return np.array(results).mean(axis=0)


def random_set(count: int, *, groups: int = 1, dim: int = 4, seed: int = 0, coordinates: int = 1) -> Any:
    random = np.random.default_rng(seed)
    values = random.integers(0, 40, (count, coordinates)) * 9.0
    targets = Targets(values, random.integers(0, groups, count), 360)
    return torch.from_numpy(random.normal(size=(count, dim))), targets


@pytest.mark.parametrize("distance", ["euclidean", "cosine"])
@pytest.mark.parametrize(("count", "groups", "coordinates"), [(30, 1, 1), (40, 4, 1), (25, 3, 3)])
def test_equals_the_loop_over_queries(distance: Any, count: int, groups: int, coordinates: int) -> None:
    e, targets = random_set(count, groups=groups, coordinates=coordinates, seed=count)
    metrics = label_report(e, classes(count), targets, ks=(1, 3, 10, 100), distance=distance).metrics
    for k in (1, 3, 10, 100):
        expected = naive(e, targets, k, distance)
        assert (metrics[f"label_distance_at_{k}"], metrics[f"ndcg_at_{k}"]) == pytest.approx(tuple(expected), abs=1e-9)


def test_numbers_by_hand() -> None:
    """Embeddings on a line at 0, 1, 3; labels 0, 4, 1.

    Query 0 finds labels at distances 4, 1, ideally 1, 4; query 1: 4, 3, ideally 3, 4; query 2: 3, 1, ideally 1, 3.
    """
    metrics = label_report(points(0, 1, 3), classes(3), line(0, 4, 1), ks=(1, 2), distance="euclidean").metrics
    assert metrics["label_distance_at_1"] == pytest.approx((4 + 4 + 3) / 3)
    assert metrics["label_distance_at_2"] == pytest.approx((2.5 + 3.5 + 2) / 3)
    assert metrics["ndcg_at_1"] == pytest.approx(((1 / 5) / (1 / 2) + (1 / 5) / (1 / 4) + (1 / 4) / (1 / 2)) / 3)
    second = 1 / math.log2(3)
    ratios = [
        (1 / 5 + second / 2) / (1 / 2 + second / 5),
        (1 / 5 + second / 4) / (1 / 4 + second / 5),
        (1 / 4 + second / 2) / (1 / 2 + second / 4),
    ]
    assert metrics["ndcg_at_2"] == pytest.approx(sum(ratios) / 3)


def test_an_embedding_that_is_the_label_has_the_best_order() -> None:
    angles = np.arange(0, 360, 5.0)
    radians = torch.from_numpy(np.deg2rad(angles))
    circle = torch.stack([radians.cos(), radians.sin()], dim=1)
    report = label_report(circle, classes(72), line(*angles, period=360), ks=(1, 10), distance="euclidean")
    assert report.metrics["label_distance_at_10"] == pytest.approx(15), "5, 5, 10, 10, ... 25, 25"
    assert report.metrics["ndcg_at_10"] == pytest.approx(1)
    assert report.metrics["label_distance_at_1"] == pytest.approx(5)


def test_a_network_that_maps_all_to_one_point_gets_the_worst_order_of_any_file_order() -> None:
    values = np.random.default_rng(0).permutation(20).astype(float)
    first, second = (
        label_report(torch.ones(20, 3), classes(20), line(*order), ks=(3,)).metrics
        for order in (values, np.sort(values))
    )
    assert first == pytest.approx(second)
    worst = [sorted((abs(a - b) for b in range(20)), reverse=True)[:3] for a in range(20)]
    assert first["label_distance_at_3"] == pytest.approx(np.mean(worst))


def test_equal_embeddings_are_ties_whatever_the_arithmetic() -> None:
    e = torch.randn(6, 16, generator=torch.Generator().manual_seed(0)).repeat(5, 1)
    values = np.random.default_rng(1).permutation(30).astype(float)
    order = np.random.default_rng(2).permutation(30)
    for distance in ("cosine", "euclidean"):
        straight = label_report(e, classes(30), line(*values), ks=(1, 7), distance=distance).metrics  # type: ignore[arg-type]
        shuffled = label_report(e[order], classes(30), line(*values[order]), ks=(1, 7), distance=distance).metrics  # type: ignore[arg-type]
        assert straight == pytest.approx(shuffled, abs=1e-12)


def test_queries_alone_in_their_group_do_not_count() -> None:
    targets = line(0, 1, 5, 7, group=[0, 0, 0, 1])
    report = label_report(points(0, 1, 5, 2), torch.tensor([3, 3, 4, 5]), targets, ks=(1,), distance="euclidean")
    assert (report.queries, report.excluded) == (3, 1)
    assert report.metrics["label_distance_at_1"] == pytest.approx((1 + 1 + 4) / 3)
    assert report.per_class[3] == {"label_distance_at_1": 1, "ndcg_at_1": 1, "images": 2}
    assert report.per_class[4]["label_distance_at_1"] == 4
    assert 5 not in report.per_class
    with pytest.raises(ValueError, match="none of the 2 queries"):
        label_report(points(0, 1), classes(2), line(0, 1, group=[0, 1]))


def test_a_gallery_of_its_own_leaves_no_image_out() -> None:
    queries, targets = random_set(11, groups=3, seed=1)
    gallery, known = random_set(29, groups=3, seed=2)
    metrics = label_report(
        queries, classes(11), targets, gallery=gallery, gallery_targets=known, ks=(4,), distance="euclidean"
    ).metrics
    expected = naive(queries, targets, 4, "euclidean", (gallery, known))
    assert (metrics["label_distance_at_4"], metrics["ndcg_at_4"]) == pytest.approx(tuple(expected), abs=1e-9)
    same = label_report(gallery, classes(29), known, gallery=gallery, gallery_targets=known, ks=(1,)).metrics
    assert same["label_distance_at_1"] == 0


@pytest.mark.parametrize("chunk", [1, 50, 333])
def test_chunks_do_not_change_the_result(chunk: int) -> None:
    e, targets = random_set(60, groups=2, seed=3, coordinates=2)
    whole = label_report(e, classes(60), targets)
    assert label_report(e, classes(60), targets, chunk_elements=chunk).metrics == pytest.approx(
        whole.metrics, abs=1e-12
    )


def test_half_precision_is_widened() -> None:
    e, targets = random_set(30, seed=4)
    half = e.bfloat16()
    assert label_report(half, classes(30), targets).metrics == label_report(half.float(), classes(30), targets).metrics


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"targets": line(1, 2)}, "3 embeddings and 2 continuous labels"),
        ({"embeddings": torch.full((3, 1), math.nan)}, "NaN, infinite"),
        ({"ks": (0,)}, "start at 1"),
        ({"ks": ()}, "start at 1"),
        ({"gallery": points(1)}, "give both or neither"),
        ({"gallery": points(1, 2), "gallery_targets": line(1)}, r"expected gallery \[N, D\]"),
        ({"gallery": points(1), "gallery_targets": line(1, period=3)}, "different periods"),
    ],
)
def test_refuses_what_does_not_belong_together(change: dict[str, Any], message: str) -> None:
    arguments = {"embeddings": points(1, 2, 3), "labels": classes(3), "targets": line(1, 2, 3), **change}
    with pytest.raises(ValueError, match=message):
        label_report(**arguments)
