"""The pair losses written out: scalars in loops over the pairs of rows and columns."""

from collections.abc import Callable

import torch
from torch import Tensor

Rows = list[list[int]]
Norm = Callable[[Tensor], Tensor]


def ball(v: Tensor) -> Tensor:
    return v / v.norm() if v.norm().item() > 1 else v


NORMS: dict[str, Norm] = {"unit": lambda v: v / v.norm(), "lipschitz": ball, "none": lambda v: v}


def euclidean(a: Tensor, b: Tensor) -> Tensor:
    return torch.zeros((), dtype=a.dtype) if torch.equal(a, b) else (a - b).square().sum().sqrt()


def cosine(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum()


def pairs(y: Tensor, ry: Tensor | None) -> tuple[Rows, Rows]:
    """Columns of the positives and of the negatives of every row; a row is no partner of itself within a batch."""
    own, columns = ry is None, (y if ry is None else ry).tolist()
    positive = [[j for j, c in enumerate(columns) if c == a and not (own and i == j)] for i, a in enumerate(y.tolist())]
    negative = [[j for j, c in enumerate(columns) if c != a] for a in y.tolist()]
    return positive, negative


def total(terms: list[Tensor]) -> Tensor:
    return sum(terms, torch.zeros((), dtype=torch.float64))


def mean_of_active(terms: list[Tensor]) -> Tensor:
    active = [term for term in terms if term.item() > 0]
    return total(active) / max(len(active), 1)


def c2(rows: Tensor, columns: Tensor, positive: Rows, negative: Rows) -> Tensor:
    near = [euclidean(rows[i], columns[j]) - 0.2652 for i in range(len(rows)) for j in positive[i]]
    far = [0.5409 - euclidean(rows[i], columns[j]) for i in range(len(rows)) for j in negative[i]]
    return mean_of_active(near) + mean_of_active(far)


def c1(rows: Tensor, columns: Tensor, positive: Rows, negative: Rows) -> Tensor:
    near = [(1 - cosine(rows[i], columns[j]) - 1e-5).relu() for i in range(len(rows)) for j in positive[i]]
    far = [(cosine(rows[i], columns[j]) - 0.3).relu() for i in range(len(rows)) for j in negative[i]]
    return (total(near) + total(far)) / len(rows)


def triplet_terms(rows: Tensor, columns: Tensor, positive: Rows, negative: Rows) -> list[Tensor]:
    d = [[euclidean(row, column) for column in columns] for row in rows]
    indices = [(i, p, n) for i in range(len(rows)) for p in positive[i] for n in negative[i]]
    return [(d[i][p] - d[i][n] + 0.0961).relu() for i, p, n in indices]


def triplet(rows: Tensor, columns: Tensor, positive: Rows, negative: Rows) -> Tensor:
    return mean_of_active(triplet_terms(rows, columns, positive, negative))


def triplet_of_all(rows: Tensor, columns: Tensor, positive: Rows, negative: Rows) -> Tensor:
    terms = triplet_terms(rows, columns, positive, negative)
    return total(terms) / max(len(terms), 1)


def multi_similarity(rows: Tensor, columns: Tensor, positive: Rows, negative: Rows) -> Tensor:
    terms = []
    for i, row in enumerate(rows):
        pull = total([(14.35 * (0.66 - cosine(row, columns[j]))).exp() for j in positive[i]])
        push = total([(75.83 * (cosine(row, columns[j]) - 0.66)).exp() for j in negative[i]])
        terms.append((1 + pull).log() / 14.35 + (1 + push).log() / 75.83)
    return total(terms) / len(rows)


def margin(rows: Tensor, columns: Tensor, positive: Rows, negative: Rows) -> Tensor:
    d = [[euclidean(row, column) for column in columns] for row in rows]
    indices = [(i, p, n) for i in range(len(rows)) for p in positive[i] for n in negative[i]]
    near = [(0.3 + d[i][p] - 0.9).relu() for i, p, _ in indices]
    far = [(0.3 + 0.9 - d[i][n]).relu() for i, _, n in indices]
    return total(near + far) / max(sum(term.item() > 0 for term in near + far), 1)
