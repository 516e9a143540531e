"""Boxes of decoded images, resampled to one size: what a network sees of an image."""

import torch
from torch import Tensor

from trainables.devices import sent
from trainables.training.config import Augmentation

__all__ = ["evaluation_view", "frames_of", "resample", "resampled_frames"]


def evaluation_view(images: Tensor, config: Augmentation, shapes: Tensor | None = None) -> Tensor:
    """What evaluation sees of decoded images: `test_crop` of the short side, a square in the middle, at `crop_size`.

    torchvision's Resize and CenterCrop in one step, with its rounding: 0.875 and 224 are Resize(256), CenterCrop(224).

    Args:
        images: [B, C, H, W] in float32.
        config: its `crop_size` and `test_crop`; at their defaults the images come back as they are.
        shapes: int64 [B, 2], height and width of each image before it was squashed to its array; None where none was.

    Returns:
        [B, C, S, S], on the images' device; S is `crop_size`, or the shorter side of the array.
    """
    if shapes is None and config.views_whole_images:
        return images
    frames = frames_of(images, shapes)
    side = (config.test_crop * frames.min(1, keepdim=True).values).round().clamp(min=1)
    corner = ((frames - side) / 2).round()
    boxes = torch.cat([corner, side, side], dim=1)
    return resampled_frames(images, boxes, frames, size=config.crop_size or min(images.shape[-2:]))


def frames_of(images: Tensor, shapes: Tensor | None) -> Tensor:
    """Height and width int64 [B, 2] in which the boxes of images are counted: their own, or those before squashing."""
    return torch.tensor(images.shape[-2:]).expand(len(images), 2) if shapes is None else shapes


def resampled_frames(images: Tensor, boxes: Tensor, frames: Tensor, *, size: int) -> Tensor:
    """`resample` with boxes in pixels of `frames` [B, 2]."""
    scale = torch.tensor(images.shape[-2:]) / frames.double()
    return resample(images, boxes * scale.repeat(1, 2), size=size)


def resample(images: Tensor, boxes: Tensor, *, size: int) -> Tensor:
    """The pixels of each image's box at another size, bilinear and antialiased.

    torchvision's resized_crop with antialias: from the box's own pixels alone, a triangle as wide as one pixel of the
    coarser of the two grids.

    Args:
        images: [B, C, H, W] in float32.
        boxes: [B, 4]: top, left, height and width in pixels of the array, not necessarily whole ones.
        size: S, both sides of the result.

    Returns:
        [B, C, S, S], on the images' device.
    """
    top, left, height, width = sent(boxes.double(), images.device).unbind(1)
    rows = _weights(top, height, inputs=images.shape[2], outputs=size).to(images.dtype)
    columns = _weights(left, width, inputs=images.shape[3], outputs=size).to(images.dtype)
    with torch.autocast(images.device.type, enabled=False):
        across = _along_last(images.contiguous(), columns)
        return _along_last(across.transpose(2, 3).contiguous(), rows).transpose(2, 3).contiguous()


def _along_last(images: Tensor, weights: Tensor) -> Tensor:
    """[B, C, M, N] and [B, S, N] to [B, C, M, S]."""
    return (images.flatten(1, 2) @ weights.transpose(1, 2)).view(*images.shape[:3], -1)


def _weights(start: Tensor, length: Tensor, *, inputs: int, outputs: int) -> Tensor:
    """[B, outputs, inputs] in float64: shares of the pixels of a line in the pixels of the boxes' line."""
    start, length = start.view(-1, 1, 1), length.view(-1, 1, 1)
    step = length / outputs
    centers = start + step * (torch.arange(outputs, device=start.device).view(1, -1, 1) + 0.5)
    pixels = torch.arange(inputs, device=start.device).view(1, 1, -1) + 0.5
    triangle = (1 - (pixels - centers).abs() / step.clamp(min=1)).clamp(min=0)
    touched = (pixels + 0.5 > start) & (pixels - 0.5 < start + length)
    weights = triangle * touched
    return weights / weights.sum(2, keepdim=True)
