"""Retrieval metrics against a brute-force oracle and against pytorch-metric-learning."""

import subprocess
import sys
from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest
import torch
from pytorch_metric_learning.distances import CosineSimilarity, LpDistance
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
from pytorch_metric_learning.utils.inference import CustomKNN
from torch import Tensor

from trainables.evaluation import Retrieval, retrieval_metrics, retrieval_report

KS = (1, 2, 4, 8)


def oracle(
    e: Tensor,
    y: Tensor,
    gallery: Tensor | None = None,
    gallery_labels: Tensor | None = None,
    *,
    ks: Sequence[int] = KS,
    distance: str = "cosine",
) -> Retrieval:
    """Sorts every query's gallery, wrong items first where they tie, and reads the definitions off the list."""
    items, item_labels = (e, y) if gallery is None or gallery_labels is None else (gallery, gallery_labels)
    rows: dict[int, list[list[float]]] = {}
    for q in range(len(e)):
        ranked = []
        for g in range(len(items)):
            if gallery is None and g == q:
                continue
            a, b = e[q].double(), items[g].double()
            if distance == "cosine":
                a, b = a / a.norm(), b / b.norm()
            elif distance == "lipschitz":
                a, b = (v if v.norm() <= 1 else v / v.norm() for v in (a, b))
            relevant = int(item_labels[g]) == int(y[q])
            ranked.append((round(float((a - b).norm()), 6), relevant))
        hits = [relevant for _, relevant in sorted(ranked)]
        total = sum(hits)
        if total:
            precisions = [sum(hits[: r + 1]) / (r + 1) * hits[r] for r in range(total)]
            values = [float(any(hits[:k])) for k in ks] + [sum(hits[:total]) / total, sum(precisions) / total]
            rows.setdefault(int(y[q]), []).append(values)
    names = [*(f"recall_at_{k}" for k in ks), "r_precision", "map_at_r"]

    def means(values: list[list[float]]) -> dict[str, float]:
        return dict(zip(names, np.mean(values, axis=0).tolist(), strict=True))

    counted = [values for group in rows.values() for values in group]
    per_class = {label: {**means(group), "images": len(group)} for label, group in rows.items()}
    return Retrieval(means(counted), per_class, queries=len(counted), excluded=len(e) - len(counted))


def assert_same(got: Retrieval, expected: Retrieval) -> None:
    assert got.metrics == pytest.approx(expected.metrics, abs=1e-12)
    assert got.per_class.keys() == expected.per_class.keys()
    for label, values in expected.per_class.items():
        assert got.per_class[label] == pytest.approx(values, abs=1e-12)
    assert (got.queries, got.excluded) == (expected.queries, expected.excluded)


def random_set(
    rows: int, classes: int, *, seed: int, dim: int = 5, dtype: torch.dtype = torch.float64
) -> tuple[Tensor, Tensor]:
    source = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (rows,), generator=source)
    centers = torch.randn(classes, dim, generator=source, dtype=torch.float64)
    noise = torch.randn(rows, dim, generator=source, dtype=torch.float64)
    return (centers[labels] + noise).to(dtype), labels


def tied_set(rows: int, classes: int, *, seed: int) -> tuple[Tensor, Tensor]:
    """Few distinct points on a grid, of lengths 1 to 3 that cosines do not see."""
    source = torch.Generator().manual_seed(seed)
    points = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [3.0, 0.0], [0.0, -2.0]], dtype=torch.float64)
    chosen = torch.randint(len(points), (rows,), generator=source)
    return points[chosen], torch.randint(classes, (rows,), generator=source)


def test_by_hand() -> None:
    """On a line, Euclidean. Labels A A B A B at 0, 1, 3, 4, 9.

    Query 0 (A, R = 2): A(1) B(3) A(4) B(9): ranks 1, 3: recall@1 1, R-precision 1/2, MAP@R (1/1) / 2 = 1/2.
    Query 1 (A): A(1 away) B(2) A(3) B(8): the same. Query 3 (A): B(1) A(3) A(4) B(5): ranks 2, 3: 0, 1/2, (1/2)/2.
    Query 2 (B, R = 1): A(1) A(2) A(3) B(6): rank 4: all 0, recall@4 1. Query 4 (B): A(5) B(6) A(8) A(9): rank 2.
    """
    e, y = torch.tensor([[0.0], [1.0], [3.0], [4.0], [9.0]]), torch.tensor([7, 7, 2, 7, 2])
    report = retrieval_report(e, y, ks=(1, 2, 4), distance="euclidean")
    assert report.metrics == pytest.approx(
        {"recall_at_1": 2 / 5, "recall_at_2": 4 / 5, "recall_at_4": 1, "r_precision": 1.5 / 5, "map_at_r": 1.25 / 5}
    )
    assert report.per_class[7]["map_at_r"] == pytest.approx(1.25 / 3)
    assert report.per_class[2] == pytest.approx(
        {"recall_at_1": 0, "recall_at_2": 0.5, "recall_at_4": 1, "r_precision": 0, "map_at_r": 0, "images": 2}
    )


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_equals_pytorch_metric_learning(distance: str, dtype: torch.dtype) -> None:
    e, y = random_set(120, 9, seed=0, dtype=dtype)
    gallery, gallery_labels = random_set(70, 9, seed=1, dtype=dtype)
    metric = CosineSimilarity() if distance == "cosine" else LpDistance(normalize_embeddings=False)
    calculator = AccuracyCalculator(
        include=("precision_at_1", "r_precision", "mean_average_precision_at_r"),
        k="max_bin_count",
        knn_func=CustomKNN(metric),
    )
    for extra in ((), (gallery, gallery_labels)):
        theirs = calculator.get_accuracy(e, y, *extra)
        named = dict(zip(("gallery", "gallery_labels"), extra, strict=False))
        ours = retrieval_metrics(e, y, distance=distance, **named)  # type: ignore[arg-type]
        assert ours["recall_at_1"] == pytest.approx(theirs["precision_at_1"], abs=1e-7)
        assert ours["r_precision"] == pytest.approx(theirs["r_precision"], abs=1e-7)
        assert ours["map_at_r"] == pytest.approx(theirs["mean_average_precision_at_r"], abs=1e-7)


@pytest.mark.parametrize(("distance", "chunk"), list(product(["cosine", "euclidean", "lipschitz"], [1, 64, 2**22])))
@pytest.mark.parametrize("classes", [1, 6, 40])
def test_equals_the_oracle(distance: str, chunk: int, classes: int) -> None:
    e, y = random_set(60, classes, seed=classes)
    report = retrieval_report(e, y, distance=distance, chunk_elements=chunk)  # type: ignore[arg-type]
    assert_same(report, oracle(e, y, distance=distance))


@pytest.mark.parametrize(("distance", "chunk"), list(product(["cosine", "euclidean", "lipschitz"], [1, 64, 2**22])))
@pytest.mark.parametrize("ks", [(1,), (1, 2, 3), (1, 5, 30)])
def test_ties_count_against_the_query(distance: str, chunk: int, ks: tuple[int, ...]) -> None:
    """Small depths cut through ties of many items, whatever candidates top-k happens to take from them."""
    for seed, classes in product(range(3), (2, 4, 12)):
        e, y = tied_set(24, classes, seed=seed)
        report = retrieval_report(e, y, ks=ks, distance=distance, chunk_elements=chunk)  # type: ignore[arg-type]
        assert_same(report, oracle(e, y, ks=ks, distance=distance))


@pytest.mark.parametrize("distance", ["cosine", "euclidean", "lipschitz"])
@pytest.mark.parametrize("tied", [False, True])
def test_separate_gallery(distance: str, tied: bool) -> None:
    """Nobody is left out as itself; some queries have no match, and some gallery classes no query."""
    for seed in range(5):
        e, y = (tied_set if tied else random_set)(30, 8, seed=seed)
        gallery, gallery_labels = (tied_set if tied else random_set)(21, 12, seed=seed + 100)
        gallery_labels = gallery_labels + 2
        report = retrieval_report(
            e,
            y,
            gallery=gallery,
            gallery_labels=gallery_labels,
            distance=distance,
            chunk_elements=50,  # type: ignore[arg-type]
        )
        expected = oracle(e, y, gallery, gallery_labels, distance=distance)
        assert expected.excluded > 0
        assert_same(report, expected)


def test_the_query_itself_in_a_separate_gallery_counts() -> None:
    e, y = random_set(20, 20, seed=0)
    y = torch.arange(20)
    assert retrieval_metrics(e, y, gallery=e, gallery_labels=y)["map_at_r"] == 1


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("distance", ["cosine", "euclidean", "lipschitz"])
def test_one_point_for_all_scores_nothing(dtype: torch.dtype, distance: str) -> None:
    """Equal vectors tie exactly, whatever their position in the matrix product: ranks start after all wrong items."""
    point = torch.randn(1, 67, generator=torch.Generator().manual_seed(0)).to(dtype)
    e, y = point.expand(301, -1), torch.arange(301) % 30
    metrics = retrieval_metrics(e, y, ks=(1, 290, 291), distance=distance)  # type: ignore[arg-type]
    # 11 images in class 0 and 290 others: its first match has rank 291; 10 images and 291 others: rank 292
    assert metrics == pytest.approx(
        {"recall_at_1": 0, "recall_at_290": 0, "recall_at_291": 11 / 301, "r_precision": 0, "map_at_r": 0}
    )


@pytest.mark.parametrize("distance", ["cosine", "euclidean", "lipschitz"])
def test_order_does_not_matter_with_duplicates(distance: str) -> None:
    source = torch.Generator().manual_seed(0)
    e = torch.randn(40, 67, generator=source)[torch.randint(40, (203,), generator=source)]
    y = torch.randint(9, (203,), generator=source)
    expected = retrieval_metrics(e, y, distance=distance)  # type: ignore[arg-type]
    for _ in range(5):
        order = torch.randperm(len(y), generator=source)
        assert retrieval_metrics(e[order], y[order], distance=distance) == pytest.approx(expected, abs=1e-12)  # type: ignore[arg-type]


def test_a_duplicate_is_no_self() -> None:
    """A and its copy, of classes 0 and 1: each finds the other first, and the rest of class 0 finds them tied."""
    e = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.9, 0.1], [0.0, 1.0]])
    metrics = retrieval_metrics(e, torch.tensor([0, 1, 0, 1]), ks=(1, 2))
    assert metrics["recall_at_1"] == 0
    assert metrics["recall_at_2"] == 0.5


def test_classes_with_one_image_are_left_out_of_every_mean() -> None:
    e, y = random_set(20, 3, seed=0)
    lonely = torch.cat([e, torch.randn(4, 5, dtype=torch.float64)]), torch.cat([y, torch.tensor([10, 11, 12, 13])])
    report = retrieval_report(*lonely)
    assert (report.queries, report.excluded) == (20, 4)
    assert sorted(report.per_class) == sorted(set(y.tolist()))
    assert_same(report, oracle(*lonely))


def test_means_over_images_are_weighted_means_over_classes() -> None:
    report = retrieval_report(*random_set(50, 7, seed=3))
    total = sum(values["images"] for values in report.per_class.values())
    mean = sum(values["images"] * values["map_at_r"] for values in report.per_class.values()) / total
    assert total == report.queries
    assert report.metrics["map_at_r"] == pytest.approx(mean)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_inputs_are_widened_also_under_autocast(dtype: torch.dtype) -> None:
    e, y = random_set(60, 6, seed=0, dtype=dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        metrics = retrieval_metrics(e, y)
    assert metrics == retrieval_metrics(e.float(), y)


def test_depths_beyond_the_gallery_and_plain_floats() -> None:
    e, y = random_set(6, 2, seed=0)
    metrics = retrieval_metrics(e, y, ks=(1, 1000))
    assert metrics["recall_at_1000"] == 1
    assert all(type(value) is float for value in metrics.values())
    assert list(retrieval_metrics(e, y)) == [f"recall_at_{k}" for k in KS] + ["r_precision", "map_at_r"]
    assert list(retrieval_metrics(e, y, ks=())) == ["r_precision", "map_at_r"]


def test_single_gallery_item() -> None:
    e, y = torch.eye(2), torch.tensor([3, 4])
    report = retrieval_report(e, y, gallery=e[:1], gallery_labels=y[:1])
    assert (report.metrics["recall_at_1"], report.queries, report.excluded) == (1.0, 1, 1)


def test_euclidean_resolves_small_distances_far_from_the_origin() -> None:
    """Distances of 1 at an offset of 10,000: squared lengths of 1e8 and more have no digit for them in float32."""
    e = torch.tensor([[0.0, 0.0], [1.0, 0.0], [3.0, 0.0], [3.5, 0.0]]) + 10_000
    assert retrieval_metrics(e, torch.tensor([0, 0, 1, 1]), ks=(1,), distance="euclidean")["recall_at_1"] == 1


def test_lipschitz_sees_lengths_up_to_one() -> None:
    """Query (0.1, 0) with the relevant (8, 0) and the wrong (0, 0.5) and (7, 7).

    cosine: 1 against 0 and 0.71, rank 1. euclidean: 7.9 against 0.51 and 9.8, rank 2. Shortened to (1, 0), (0, 0.5) and
    (0.71, 0.71): 0.9 against 0.51 and 0.93, rank 2. With (0, 5) for (0, 0.5), shortened to (0, 1): 0.9 against 1.005
    and 0.93, rank 1, where euclidean has 7.9 against 5.0.
    """
    query, y = torch.tensor([[0.1, 0.0]]), torch.tensor([0])
    for other, ranks in ((0.5, {"cosine": 1, "euclidean": 2, "lipschitz": 2}), (5.0, {"euclidean": 2, "lipschitz": 1})):
        gallery = torch.tensor([[8.0, 0.0], [0.0, other], [7.0, 7.0]])
        for distance, rank in ranks.items():
            metrics = retrieval_metrics(
                query,
                y,
                gallery=gallery,
                gallery_labels=torch.tensor([0, 1, 1]),
                ks=(1, 2),
                distance=distance,  # type: ignore[arg-type]
            )
            assert (metrics["recall_at_1"], metrics["recall_at_2"]) == (float(rank == 1), 1.0), (other, distance)


def test_input_is_not_changed() -> None:
    e, y = random_set(12, 3, seed=0, dtype=torch.float32)
    before = e.clone()
    retrieval_metrics(e.requires_grad_(), y)
    assert torch.equal(e, before)


def bad(**changed: object) -> dict[str, object]:
    return {"embeddings": torch.randn(4, 3), "labels": torch.tensor([0, 0, 1, 1]), **changed}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (bad(labels=torch.arange(4)), "none of the 4 queries has another image"),
        (bad(embeddings=torch.full((4, 3), torch.nan)), "embeddings hold NaN"),
        (bad(embeddings=torch.full((4, 3), 1e30)), "overflowing"),
        (bad(gallery=torch.full((2, 3), torch.inf), gallery_labels=torch.tensor([0, 1])), "gallery hold NaN"),
        (bad(gallery=torch.randn(2, 3)), "belong together"),
        (bad(gallery=torch.randn(2, 5), gallery_labels=torch.tensor([0, 1])), r"\[4, 3\] and gallery \[2, 5\]"),
        (bad(labels=torch.tensor([0, 1])), r"\[4, 3\], \[2\]"),
        (bad(labels=torch.tensor([0.0, 0.0, 1.0, 1.0])), "integers"),
        (bad(embeddings=torch.randn(4)), r"\[N, D\]"),
        (bad(embeddings=torch.randn(0, 3), labels=torch.zeros(0).long()), "no rows"),
        (bad(ks=(0, 1)), "start at 1"),
        (bad(distance="manhattan"), "unknown distance 'manhattan'"),
    ],
)
def test_impossible_arguments_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        retrieval_report(**arguments)  # type: ignore[arg-type]


def test_importing_the_package_imports_no_torch() -> None:
    code = (
        "import sys, trainables.evaluation, trainables.losses, trainables.synthesis; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
