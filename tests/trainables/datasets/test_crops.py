"""What a network sees of decoded images: torchvision's crops, of squashed images as of whole ones."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2 as reference

from trainables.datasets.augmentation import augment, crop_boxes
from trainables.datasets.catalog import load_images, resolve
from trainables.datasets.config import ImageFolder
from trainables.datasets.crops import evaluation_view, resample
from trainables.datasets.decoding import decode, reader
from trainables.datasets.source import Framed
from trainables.randomness import generator
from trainables.training.config import Augmentation

FIELD = Augmentation(crop_scale=(0.08, 1.0), crop_size=28, test_crop=0.875)


def images(count: int = 4, height: int = 32, width: int = 32) -> Tensor:
    return torch.rand(count, 3, height, width, generator=generator(0, "images"))


def photo(height: int, width: int) -> Image.Image:
    """A smooth picture without symmetry, as photographs are."""
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    waves = [np.sin(7 * x + 3 * y), np.cos(5 * y - 4 * x), x * y]
    pixels = np.stack([(wave - wave.min()) / (wave.max() - wave.min()) for wave in waves], axis=2)
    return Image.fromarray((255 * pixels).round().astype(np.uint8))


def encoded(image: Image.Image, kind: str = "png", **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


@pytest.mark.parametrize("size", [8, 19, 28, 50])
@pytest.mark.parametrize(("height", "width"), [(32, 32), (40, 24)])
def test_pixels_of_a_crop_are_those_of_torchvision_antialiased(height: int, width: int, size: int) -> None:
    batch = images(8, height, width)
    frames = torch.tensor([[height, width]]).expand(8, 2)
    boxes = crop_boxes(frames, config=FIELD, generator=generator(3))
    boxes[0] = torch.tensor([0, 0, height, width])
    for image, box, result in zip(batch, boxes.tolist(), resample(batch, boxes, size=size), strict=True):
        expected = reference.functional.resized_crop(image, *box, size=[size, size], antialias=True)
        torch.testing.assert_close(result, expected, atol=5e-6, rtol=0)


def test_training_crops_are_those_of_torchvision_at_another_size() -> None:
    batch = images()
    boxes = crop_boxes(torch.tensor([[32, 32]] * 4), config=FIELD, generator=generator(5))
    assert torch.equal(augment(batch, FIELD, generator(5)), resample(batch, boxes, size=28))


@pytest.mark.parametrize(("height", "width"), [(32, 32), (40, 32), (32, 43)])
def test_the_evaluation_view_is_torchvision_s_center_crop_bit_for_bit(height: int, width: int) -> None:
    batch = images(3, height, width)
    assert torch.equal(evaluation_view(batch, FIELD), reference.functional.center_crop(batch, [28, 28]))


def test_without_a_crop_images_come_back_as_they_are() -> None:
    batch = images()
    assert evaluation_view(batch, Augmentation(crop_scale=(0.2, 1.0), flip=True)) is batch


def test_without_random_crops_training_sees_what_evaluation_sees() -> None:
    config = FIELD.model_copy(update={"crop_scale": (1.0, 1.0)})
    assert torch.equal(augment(images(), config, generator(0)), evaluation_view(images(), FIELD))


def test_an_image_does_not_depend_on_its_batch() -> None:
    shapes = torch.tensor([[20, 60], [32, 32], [64, 48], [300, 200]])
    together = evaluation_view(images(), FIELD, shapes)
    alone = evaluation_view(images()[2:3], FIELD, shapes[2:3])
    torch.testing.assert_close(together[2:3], alone)


def test_fractional_boxes_at_the_edges_give_finite_weights_that_sum_to_one() -> None:
    ones = torch.ones(5, 1, 9, 9)
    boxes = torch.tensor(
        [[0, 0, 9, 9], [8.6, 0.4, 0.4, 0.3], [0.5, 0.5, 8, 8], [3.3, 4.9, 0.1, 4.1], [0, 8.999, 9, 0.001]]
    )
    torch.testing.assert_close(resample(ones, boxes, size=7), torch.ones(5, 1, 7, 7))


def test_autocast_does_not_blur_the_pixels() -> None:
    batch = images()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(evaluation_view(batch, FIELD), evaluation_view(batch, FIELD).float())
        seen = evaluation_view(batch, FIELD)
    assert torch.equal(seen, evaluation_view(batch, FIELD))


def decoded_whole(image: Image.Image, *, size: int) -> tuple[Tensor, Tensor]:
    framed = reader(["x.png"], lambda name: encoded(image), size=size, channels=3, resize="whole")(0)
    assert isinstance(framed, Framed)
    return torch.from_numpy(framed.pixels)[None].float() / 255, torch.tensor([framed.shape])


@pytest.mark.parametrize(("height", "width"), [(300, 400), (500, 330), (256, 700)])
def test_whole_images_are_evaluated_as_resize_and_center_crop_do(height: int, width: int) -> None:
    image = photo(height, width)
    pixels, shapes = decoded_whole(image, size=128)
    seen = evaluation_view(pixels, Augmentation(crop_size=56, test_crop=0.875), shapes)[0]
    steps = [reference.Resize(64), reference.CenterCrop(56), reference.ToImage()]
    expected = reference.Compose(steps)(image).float() / 255
    assert (seen - expected).abs().mean() < 0.01
    assert (seen - expected).abs().max() < 0.04


def test_whole_images_are_cropped_margins_included_with_the_aspect_of_the_image() -> None:
    image = photo(300, 500)
    pixels, shapes = decoded_whole(image, size=160)
    config = Augmentation(crop_scale=(0.08, 1.0), crop_size=32)
    count = 40
    crops = augment(pixels.expand(count, -1, -1, -1), config, generator(4), shapes=shapes.expand(count, 2))
    boxes = crop_boxes(shapes.expand(count, 2), config=config, generator=generator(4))
    assert boxes[:, 1].min() < 100  # left of the centre square
    assert (boxes[:, 1] + boxes[:, 3]).max() > 400  # right of it
    original = reference.functional.to_image(image).float() / 255
    for crop, box in zip(crops, boxes.tolist(), strict=True):
        expected = reference.functional.resized_crop(original, *box, size=[32, 32], antialias=True)
        assert (crop - expected).abs().mean() < 0.01


def test_a_center_crop_of_decoding_loses_the_margins_and_whole_keeps_them() -> None:
    image = Image.new("RGB", (300, 100), (0, 0, 0))
    image.paste((255, 0, 0), (0, 0, 90, 100))
    content = encoded(image)
    kinds = {kind: decode("x", lambda: content, size=32, channels=3, resize=kind) for kind in ("crop", "whole")}
    assert kinds["crop"][0].max() == 0
    assert kinds["whole"][0].max() == 255


@pytest.mark.parametrize("kind", ["jpeg", "png", "tiff"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_remembered_shape_is_that_of_the_upright_image(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(photo(301, 403), kind, exif=exif)
    framed = reader(["x"], lambda name: content, size=16, channels=3, resize="whole")(0)
    assert isinstance(framed, Framed)
    assert framed.shape == ((403, 301) if orientation >= 5 else (301, 403))
    squashed = decode("x", lambda: content, size=16, channels=3, resize="squash")
    assert np.array_equal(framed.pixels, squashed)


def test_shapes_are_kept_in_the_cache_and_only_for_whole_images(tmp_path: Path) -> None:
    sizes = [(20, 30), (30, 20), (25, 25), (12, 40)]
    for number, (height, width) in enumerate(sizes):
        folder = tmp_path / "tree" / ("train/a" if number < 2 else "test/b")
        folder.mkdir(parents=True, exist_ok=True)
        photo(height, width).save(folder / f"{number}.png")
    found = {}
    for resize in ("squash", "crop", "whole"):
        config = ImageFolder.model_validate({"path": str(tmp_path / "tree"), "image_size": 16, "resize": resize})
        resolved = resolve(config, search=(), cache=tmp_path / "cache")
        for _ in range(2):  # built, then opened
            found[resize] = load_images(resolved, cache=tmp_path / "cache")
    assert found["squash"].shapes is None
    assert found["crop"].shapes is None
    by_path = dict(zip(found["whole"].paths, found["whole"].shapes.tolist(), strict=True))
    assert [tuple(by_path[path]) for path in sorted(by_path, key=lambda path: path[-5])] == sizes
    assert np.array_equal(found["whole"].images, found["squash"].images)
    assert len({images.key for images in found.values()}) == 3
