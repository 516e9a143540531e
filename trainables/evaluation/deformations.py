"""Deformations of test images, to see what an embedding is robust to.

They are made for images as a network gets them, resized and in 0..1, before its normalization. What is random about
them is a function of the image's number in its dataset alone: all networks see the same pixels, in whatever batches,
and a stronger deformation is that of a weaker one carried further (the same side, the same noise, more of it).

Where no image is left (cut out, dropped, turned in from outside) stands the image's mean color: what is dark or bright
would mean more to one dataset, or to one network's normalization, than to another.
"""

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as nnf
from torch import Tensor

from trainables.randomness import generator
from trainables.training.config import Deformation

__all__ = ["deform"]


def deform(images: Tensor, deformation: Deformation, indices: Sequence[int]) -> Tensor:
    """Deforms a batch.

    - cutout: a square (of an oblong image: a box of its shape) with `strength` times the image's sides, at a uniformly
      drawn place inside.
    - pixel_dropout: every pixel, all channels at once, with probability `strength`.
    - zoom_in: the center, enlarged bilinearly by the factor 1 + `strength`.
    - zoom_out: reduced by the factor 1 + `strength` to whole pixels, antialiased, in the center.
    - rotation: about the center by `strength` degrees, to a drawn side, bilinear.
    - shear: rows are shifted against each other by `strength` degrees, to a drawn side, bilinear.
    - noise: normal, of standard deviation `strength`, added to every value; the sum is cut to 0..1.
    - blur: Gaussian of standard deviation `strength` in pixels, the outermost pixels repeated outside.

    Args:
        images: [B, C, H, W] in 0..1, in float32 or float64.
        deformation: which, and how strong; strength 0 gives the images themselves.
        indices: B numbers of the images in their dataset.

    Returns:
        [B, C, H, W] in 0..1, on the images' device.

    Raises:
        ValueError: not one number per image.
    """
    if images.ndim != 4 or len(indices) != images.shape[0]:
        raise ValueError(f"expected images [B, C, H, W] and B numbers; got {list(images.shape)} and {len(indices)}")
    if deformation.strength == 0:
        return images
    sources = [generator(0, "deformation", deformation.name, int(index)) for index in indices]
    return _FUNCTIONS[deformation.name](images, deformation.strength, sources).clamp(0, 1)


def _cutout(images: Tensor, strength: float, sources: list[torch.Generator]) -> Tensor:
    size = torch.tensor([round(strength * side) for side in images.shape[-2:]])
    room = torch.tensor(images.shape[-2:]) - size + 1
    start = (_drawn(torch.rand, (2,), sources) * room).long()
    rows, columns = (_between(start[:, axis], int(size[axis]), images.shape[2 + axis]) for axis in (0, 1))
    hole = rows[:, :, None] & columns[:, None, :]
    return _erased(images, hole)


def _between(start: Tensor, length: int, size: int) -> Tensor:
    """[B, size]: whether a position lies in start..start + length - 1."""
    offset = torch.arange(size) - start[:, None]
    return (offset >= 0) & (offset < length)


def _pixel_dropout(images: Tensor, strength: float, sources: list[torch.Generator]) -> Tensor:
    return _erased(images, _drawn(torch.rand, tuple(images.shape[-2:]), sources) < strength)


def _erased(images: Tensor, hole: Tensor) -> Tensor:
    return torch.where(hole.to(images.device)[:, None], _mean_color(images), images)


def _mean_color(images: Tensor) -> Tensor:
    return images.mean((2, 3), keepdim=True)


def _zoom_in(images: Tensor, strength: float, sources: list[torch.Generator]) -> Tensor:
    return _resampled(images, (torch.eye(2) / (1 + strength)).expand(len(sources), 2, 2))


def _zoom_out(images: Tensor, strength: float, sources: list[torch.Generator]) -> Tensor:
    height, width = images.shape[-2:]
    rows, columns = (max(1, round(side / (1 + strength))) for side in (height, width))
    small = nnf.interpolate(images, size=(rows, columns), mode="bilinear", antialias=True, align_corners=False)
    top, left = (height - rows) // 2, (width - columns) // 2
    result = _mean_color(images).expand_as(images).clone()
    result[:, :, top : top + rows, left : left + columns] = small
    return result


def _rotation(images: Tensor, strength: float, sources: list[torch.Generator]) -> Tensor:
    angles = math.radians(strength) * _sides(sources)
    cosine, sine = angles.cos(), angles.sin()
    matrix = torch.stack([torch.stack([cosine, sine], dim=1), torch.stack([-sine, cosine], dim=1)], dim=1)
    return _resampled(images, matrix)


def _shear(images: Tensor, strength: float, sources: list[torch.Generator]) -> Tensor:
    matrix = torch.eye(2, dtype=torch.float64).repeat(len(sources), 1, 1)
    matrix[:, 0, 1] = math.tan(math.radians(strength)) * _sides(sources)
    return _resampled(images, matrix)


def _resampled(images: Tensor, matrix: Tensor) -> Tensor:
    """Images whose pixel at (x, y) from the center is the old one at `matrix` [B, 2, 2] @ (x, y)."""
    height, width = images.shape[-2:]
    y, x = (torch.arange(side, dtype=torch.float64) - (side - 1) / 2 for side in (height, width))
    points = torch.stack([x.expand(height, width), y[:, None].expand(height, width)], dim=2)
    old = torch.einsum("bij,hwj->bhwi", matrix.double(), points)
    grid = (old * 2 / torch.tensor([width, height])).to(images)  # -1..1 from edge to edge
    mean = _mean_color(images)
    return mean + nnf.grid_sample(images - mean, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def _noise(images: Tensor, strength: float, sources: list[torch.Generator]) -> Tensor:
    return images + strength * _drawn(torch.randn, tuple(images.shape[1:]), sources).to(images)


def _blur(images: Tensor, strength: float, _: list[torch.Generator]) -> Tensor:
    rows, columns = (_gaussian_rows(side, strength).to(images) for side in images.shape[-2:])
    return rows @ images @ columns.T


def _gaussian_rows(size: int, deviation: float) -> Tensor:
    """[size, size] in float64: row i holds the weights with which the pixels of a line make its blurred pixel i."""
    radius = math.ceil(4 * deviation)
    offsets = torch.arange(-radius, radius + 1)
    weights = (-0.5 * (offsets.double() / deviation).square()).softmax(dim=0)
    pixels = (torch.arange(size)[:, None] + offsets).clamp(0, size - 1)
    return torch.zeros(size, size, dtype=torch.float64).scatter_add_(1, pixels, weights.expand(size, -1))


def _drawn(draw: Callable[..., Tensor], shape: tuple[int, ...], sources: list[torch.Generator]) -> Tensor:
    return torch.stack([draw(shape, generator=source) for source in sources])


def _sides(sources: list[torch.Generator]) -> Tensor:
    """-1 or 1 per image."""
    return _drawn(torch.rand, (), sources).lt(0.5).double() * 2 - 1


_FUNCTIONS: dict[str, Callable[[Tensor, float, list[torch.Generator]], Tensor]] = {
    "cutout": _cutout,
    "pixel_dropout": _pixel_dropout,
    "zoom_in": _zoom_in,
    "zoom_out": _zoom_out,
    "rotation": _rotation,
    "shear": _shear,
    "noise": _noise,
    "blur": _blur,
}
