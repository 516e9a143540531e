"""Which training images become proxies: a pool of each class, and greedy k-centre in it. Pure functions."""

import numpy as np
import torch
from torch import Tensor

__all__ = ["class_distance", "covering_radius", "draw_pool", "greedy_k_center", "take"]


def draw_pool(labels: np.ndarray, size: int, random: np.random.Generator) -> np.ndarray:
    """Draws `size` images of every class, one after the other and without replacement.

    A class with fewer images has given all of them before one comes again.

    Args:
        labels: [N], integers.
        size: images per class.
        random: where the order within a class comes from.

    Returns:
        Positions in `labels`, int64 [C', size]; rows are the C' classes that occur, in ascending order.

    Source: Gurbuz et al., "Deep Metric Learning with Chance Constraints", WACV 2024, and its released code: the images
    of a class are a shuffled queue that is filled again when it is empty. Here each pool starts with full queues.
    """
    if size < 1 or len(labels) == 0:
        raise ValueError(f"a pool of {size} images per class from {len(labels)} images")
    order = np.argsort(labels, kind="stable")
    ends = np.unique(labels, return_counts=True)[1].cumsum().tolist()
    members = [order[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    return np.stack([_drawn(images, size, random) for images in members]).astype(np.int64)


def _drawn(images: np.ndarray, size: int, random: np.random.Generator) -> np.ndarray:
    rounds = -(-size // len(images))
    return np.concatenate([random.permutation(images) for _ in range(rounds)])[:size]


def greedy_k_center(points: Tensor, seeds: Tensor, k: int) -> Tensor:
    """Chooses k points, each the farthest from the seeds and the points chosen before (the first index of equals).

    Seeds stand for centres that exist already and are never chosen themselves. Once every point is chosen, index 0
    repeats. Distances are Euclidean, taken from differences, so that a chosen point is at exactly 0.

    Args:
        points: [..., P, D]; leading dimensions are classes, each on its own.
        seeds: [..., S, D], S >= 1.
        k: number of points to choose.

    Returns:
        Indices of points, int64 [..., k], in the order of choice.

    Raises:
        ValueError: shapes that do not belong together, no points, no seeds, or k below 1.

    Source: Gurbuz et al., "Deep Metric Learning with Chance Constraints", WACV 2024, released code; greedy k-centre as
    in Sener and Savarese, "Active Learning for Convolutional Neural Networks: A Core-Set Approach", ICLR 2018.
    """
    _check_sets(points, seeds)
    if k < 1:
        raise ValueError(f"k is {k}; at least one center is chosen")
    nearest, chosen = _nearest_squared(points, seeds), []
    for _ in range(k):
        farthest = nearest.argmax(dim=-1, keepdim=True)  # the first of equal maxima
        chosen.append(farthest)
        nearest = torch.minimum(nearest, _squared(points, take(points, farthest)))
    return torch.cat(chosen, dim=-1)


def covering_radius(points: Tensor, centers: Tensor) -> Tensor:
    """The largest Euclidean distance of a point [..., P, D] to its nearest center [..., S, D]; shape [...].

    Raises:
        ValueError: shapes that do not belong together, no points, or no centers.
    """
    _check_sets(points, centers)
    return _nearest_squared(points, centers).amax(dim=-1).sqrt()


def class_distance(points: Tensor) -> Tensor:
    """Euclidean distance of the mean of every class of points [C, P, D] to that of the nearest other one; shape [C]."""
    means = points.mean(dim=1)
    distances = torch.cdist(means, means, compute_mode="donot_use_mm_for_euclid_dist")
    return distances.fill_diagonal_(torch.inf).amin(dim=1)


def take(points: Tensor, index: Tensor) -> Tensor:
    """The points [..., k, D] at indices [..., k] of [..., P, D]."""
    return points.gather(-2, index[..., None].expand(*index.shape, points.shape[-1]))


def _nearest_squared(points: Tensor, centers: Tensor) -> Tensor:
    """Squared distance [..., P] to the nearest center, one center at a time to bound the memory."""
    first, *rest = torch.split(centers, 1, dim=-2)
    nearest = _squared(points, first)
    for center in rest:
        nearest = torch.minimum(nearest, _squared(points, center))
    return nearest


def _squared(points: Tensor, center: Tensor) -> Tensor:
    return (points - center).square().sum(dim=-1)


def _check_sets(points: Tensor, centers: Tensor) -> None:
    shapes = f"points {list(points.shape)}, centers {list(centers.shape)}"
    if points.ndim < 2 or points.ndim != centers.ndim:
        raise ValueError(f"expected points [..., P, D] and centers [..., S, D]; got {shapes}")
    if points.shape[:-2] != centers.shape[:-2] or points.shape[-1] != centers.shape[-1]:
        raise ValueError(f"points and centers differ in their classes or their dimension D: {shapes}")
    if points.shape[-2] == 0 or centers.shape[-2] == 0:
        raise ValueError(f"no points or no centers: {shapes}")
