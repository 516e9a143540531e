"""What evaluation does to an image before the network sees it: the file `preprocessing.json`, and the same as code."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from trainables.config import RunConfig
from trainables.datasets.crops import evaluation_view
from trainables.datasets.decoding import Resize, reader
from trainables.datasets.images import ImageSet
from trainables.datasets.source import Framed, UnreadableImageError
from trainables.errors import DataError
from trainables.model import EmbeddingModel
from trainables.parts import Config
from trainables.training.config import Augmentation


class Normalization(Config):
    """What the network itself does first to the images that it is given."""

    channels: int
    """Images with one channel are repeated to as many."""
    channel_order: Literal["rgb", "bgr"]
    """Of the network's own layers, and of `mean` and `std`; its input is always RGB."""
    mean: tuple[float, ...]
    """Subtracted from images in 0..1; one value stands for all channels."""
    std: tuple[float, ...]
    """That the difference is divided by."""
    applied_by: Literal["network"] = "network"


class Preprocessing(Config):
    """From an image file to the network's input: decoded to a square, cropped, scaled to 0..1."""

    orientation: Literal["exif"] = "exif"
    transparency: Literal["white"] = "white"
    """What shows through transparent pixels."""
    channels: int
    """1: grey (ITU-R 601), 3: RGB."""
    resize: Resize
    """squash: to a square, whatever the aspect; crop: short side to the size, then the middle; whole: squashed, and
    `test_crop` counts in pixels of the image as it was."""
    image_size: int
    """Side in pixels of the square."""
    interpolation: Literal["bilinear, antialiased"] = "bilinear, antialiased"
    test_crop: float
    """Side of the middle square that is cut out, as a share of the short side."""
    crop_size: int | None
    """Side in pixels to which it is resampled; empty: the crop keeps the side of the decoded image."""
    range: tuple[float, float] = (0.0, 1.0)
    """Pixels of the input; those of the file are divided by 255."""
    normalization: Normalization

    @property
    def view(self) -> Augmentation:
        """The crop of evaluation."""
        return Augmentation(crop_size=self.crop_size, test_crop=self.test_crop)

    @property
    def input_size(self) -> int:
        """Side S of the network's input."""
        return self.crop_size or self.image_size


def preprocessing_of(run: RunConfig, images: ImageSet, model: EmbeddingModel) -> Preprocessing:
    """What a run's evaluation does; images of a dataset that is drawn, not decoded, stand for squashed ones."""
    backbone = model.backbone
    if backbone is None:
        raise ValueError("a head alone takes features, not images")
    return Preprocessing(
        channels=images.channels,
        resize=getattr(run.dataset, "resize", "squash"),
        image_size=int(images.images.shape[2]),
        test_crop=run.augmentation.test_crop,
        crop_size=run.augmentation.crop_size,
        normalization=Normalization(
            channels=backbone.channels,
            channel_order=backbone.channel_order,
            mean=tuple(backbone.mean.flatten().tolist()),
            std=tuple(backbone.std.flatten().tolist()),
        ),
    )


class Transform:
    """Image files to the input of an exported network, as the run's evaluation saw its test images."""

    def __init__(self, preprocessing: Preprocessing) -> None:
        self.preprocessing = preprocessing

    def __call__(self, images: Sequence[str | Path]) -> Tensor:
        """Paths of image files to float32 [B, C, S, S] in 0..1.

        Raises:
            DataError: a file is missing, or is no image.
        """
        paths, how = [str(image) for image in images], self.preprocessing
        channels: Literal[1, 3] = 1 if how.channels == 1 else 3
        read = reader(paths, _bytes, size=how.image_size, channels=channels, resize=how.resize)
        decoded = []
        for number in range(len(paths)):
            try:
                decoded.append(read(number))
            except UnreadableImageError as error:
                raise DataError(f"the image {error} cannot be read; replace or leave out the file") from error
        pixels = [each.pixels if isinstance(each, Framed) else each for each in decoded]
        shapes = [each.shape for each in decoded if isinstance(each, Framed)]
        empty = np.empty((0, how.channels, how.image_size, how.image_size), dtype=np.uint8)
        return self.of_pixels(np.stack(pixels) if pixels else empty, torch.tensor(shapes) if shapes else None)

    def of_pixels(self, pixels: np.ndarray, shapes: Tensor | None = None) -> Tensor:
        """Decoded images uint8 [B, C, image_size, image_size] to the same; `shapes` as of `evaluation_view`."""
        return evaluation_view(torch.from_numpy(pixels).float().div_(255), self.preprocessing.view, shapes)


def _bytes(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"no image {path}: {error.strerror}") from error
