"""Random resized crop and horizontal flip of a whole batch at once, on the device that holds it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as nnf
from torch import Tensor

from trainables.datasets.crops import evaluation_view, frames_of, resampled_frames
from trainables.devices import sent
from trainables.training.config import Augmentation

_TRIES = 10
_MANY = 1024
"""Images of which only those are tried again whose first try does not fit, which are few."""


Crops = tuple[Tensor, Tensor, Tensor]
"""Numbers of B crops, float64, uniform in 0..1: [B, 10] and [B, 10] for tries at area and aspect ratio, [B, 2] for the
position."""


@dataclass(frozen=True)
class Draws:
    """The random numbers of B images, on the CPU, so that every device gets the same.

    Attributes:
        crops: None where there are none.
        flips: float32 [B], uniform in 0..1; None where nothing is flipped.
    """

    crops: Crops | None
    flips: Tensor | None

    @classmethod
    def joined(cls, draws: "Sequence[Draws]") -> "Draws":
        """Those of several batches as those of one."""
        crops = [each.crops for each in draws if each.crops is not None]
        flips = [each.flips for each in draws if each.flips is not None]
        columns = (torch.cat(column) for column in zip(*crops, strict=True))
        return cls(
            crops=(next(columns), next(columns), next(columns)) if crops else None,
            flips=torch.cat(flips) if flips else None,
        )


def draw(count: int, config: Augmentation, generator: torch.Generator) -> Draws:
    """What `augment` draws for so many images."""
    crops = _draw_crops(count, generator) if config.crops else None
    return Draws(crops, torch.rand(count, generator=generator) if config.flip else None)


def _draw_crops(count: int, generator: torch.Generator) -> Crops:
    # In double precision: rounding must not push a full-sized crop over the image's edge.
    area, aspect = torch.rand(2, count, _TRIES, generator=generator, dtype=torch.float64)
    return area, aspect, torch.rand(count, 2, generator=generator, dtype=torch.float64)


def augment(
    images: Tensor, config: Augmentation, generator: torch.Generator, *, shapes: Tensor | None = None
) -> Tensor:
    """Crops every image at random, scales the crop to `crop_size`, and mirrors some.

    The distribution is that of torchvision's RandomResizedCrop (see `crop_boxes`) and RandomHorizontalFlip. The crop is
    resampled bilinearly from its own pixels alone, antialiased where it is reduced, as torchvision does.

    Args:
        images: [B, C, H, W] in float32, decoded.
        config: what to draw. Without random crop (`crop_scale` is (1, 1)) images are cropped as for evaluation.
        generator: on the CPU: all random numbers are drawn there, so that every device gets the same.
        shapes: int64 [B, 2], height and width of each image before it was squashed to its array; crops are drawn in
            these. None where none was squashed, or where that is meant.

    Returns:
        [B, C, S, S], on the images' device; S is `crop_size`. Without one the shape is that of the images.
    """
    return augmented(images, config, draw(len(images), config, generator), shapes=shapes)


def augmented(images: Tensor, config: Augmentation, draws: Draws, *, shapes: Tensor | None = None) -> Tensor:
    """`augment` with numbers that are drawn already."""
    if draws.crops is None:
        images = evaluation_view(images, config, shapes)
    else:
        images = _cropped(images, config, draws.crops, shapes)
    if draws.flips is not None:
        mirrored = sent(draws.flips < 0.5, images.device).view(-1, 1, 1, 1)
        images = torch.where(mirrored, images.flip(3), images)
    return images


def _cropped(images: Tensor, config: Augmentation, draws: Crops, shapes: Tensor | None) -> Tensor:
    frames = frames_of(images, shapes)
    boxes = _boxes(frames, config, draws)
    if config.crop_size is None and shapes is None:
        return crop_and_resize(images, boxes)
    return resampled_frames(images, boxes, frames, size=config.crop_size or min(images.shape[-2:]))


def crop_boxes(frames: Tensor, *, config: Augmentation, generator: torch.Generator) -> Tensor:
    """Draws boxes as torchvision's RandomResizedCrop does.

    Area share uniform in `crop_scale`, aspect ratio (width / height) log-uniform in `crop_ratio`, sides rounded to
    pixels; of ten such draws the first that fits into the image counts, at a uniform position. Where none fits: the
    largest centred box whose aspect ratio is allowed.

    Args:
        frames: int64 [count, 2], height and width of each image.
        config: its `crop_scale` and `crop_ratio`.
        generator: on the CPU.

    Returns:
        int64 [count, 4]: top, left, height and width of each box, in pixels of its frame.
    """
    return _boxes(frames, config, _draw_crops(len(frames), generator))


def _boxes(frames: Tensor, config: Augmentation, draws: Crops) -> Tensor:
    area, aspect, position = draws
    tried = 1 if len(frames) > _MANY else _TRIES
    size, fits = _fitting(frames, area[:, :tried], aspect[:, :tried], config)
    if tried < _TRIES:
        others = (~fits).nonzero().squeeze(1)
        size[others], fits[others] = _fitting(frames[others], area[others], aspect[others], config)
    corner = (position * (frames - size + 1)).long()

    fallback, none_fits = _largest_boxes(frames, *config.crop_ratio), ~fits[:, None]
    size = torch.where(none_fits, fallback, size)
    corner = torch.where(none_fits, (frames - fallback) // 2, corner)
    return torch.cat([corner, size], dim=1)


def _fitting(frames: Tensor, area: Tensor, aspect: Tensor, config: Augmentation) -> tuple[Tensor, Tensor]:
    """Height and width [count, 2] of the first of some tries [count, tries] that fits, and whether one does."""
    pixels = frames.prod(1, keepdim=True) * _between(area, *config.crop_scale)
    ratio = _between(aspect, math.log(config.crop_ratio[0]), math.log(config.crop_ratio[1])).exp()
    sides = torch.stack([(pixels / ratio).sqrt(), (pixels * ratio).sqrt()], dim=2).round().long()
    fits = ((sides > 0) & (sides <= frames.unsqueeze(1))).all(2)
    first = fits.long().argmax(1)  # the first of equal maxima
    return sides[torch.arange(len(frames)), first], fits.any(1)


def _between(uniform: Tensor, low: float, high: float) -> Tensor:
    return low + (high - low) * uniform


def _largest_boxes(frames: Tensor, low: float, high: float) -> Tensor:
    """Height and width [count, 2] of the largest boxes in images with an aspect ratio in low..high."""
    height, width = frames.double().unbind(1)
    too_wide, too_high = width > high * height, width < low * height
    sides = torch.stack([torch.where(too_high, width / low, height), torch.where(too_wide, height * high, width)], 1)
    return sides.round().long()


def crop_and_resize(images: Tensor, boxes: Tensor) -> Tensor:
    """The pixels of each image's box, enlarged bilinearly to the image's size.

    A box is never larger than its image, so there is nothing that antialiasing could remove.

    Args:
        images: [B, C, H, W] in float32.
        boxes: int64 [B, 4]: top, left, height and width, inside the image.
    """
    height, width = images.shape[-2:]
    top, left, box_height, box_width = boxes.to(torch.float32).unsqueeze(2).unbind(1)
    rows, columns = _samples(top, box_height, height), _samples(left, box_width, width)
    across = columns.unsqueeze(1).expand(-1, height, -1)
    down = rows.unsqueeze(2).expand(-1, -1, width)
    grid = torch.stack([across, down], dim=3)
    grid = sent(grid, images.device)
    return nnf.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _samples(start: Tensor, length: Tensor, size: int) -> Tensor:
    """Where `size` output pixels look in the input, [B, size], in grid_sample's coordinates (-1..1 edge to edge).

    Positions stay between the centres of the box's first and last pixel, so that nothing outside the box shows.
    """
    inside = (torch.arange(size) + 0.5) * (length / size) - 0.5
    pixels = start + torch.minimum(inside.clamp(min=0), length - 1)
    return (2 * pixels + 1) / size - 1
