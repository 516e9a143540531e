"""Random crops and flips: torchvision's distribution, torchvision's pixels, one generator."""

import math
from functools import cache

import pytest
import torch
from torch import Tensor

from trainables.datasets.augmentation import Draws, augment, augmented, crop_and_resize, crop_boxes, draw
from trainables.randomness import generator, isolated_rng
from trainables.training.config import Augmentation

DRAWS = 20_000
STANDARD = Augmentation(crop_scale=(0.2, 1.0))


def images(count: int = 6, channels: int = 3, height: int = 20, width: int = 20) -> Tensor:
    return torch.rand(count, channels, height, width, generator=generator(0, "images"))


def frames(height: int, width: int, *, count: int) -> Tensor:
    return torch.tensor([[height, width]]).expand(count, 2)


def test_nothing_configured_gives_the_same_images() -> None:
    batch, source = images(), generator(0)
    before = source.get_state()
    assert augment(batch, Augmentation(), source) is batch
    assert torch.equal(source.get_state(), before)


def test_equal_generators_give_equal_images_and_others_do_not() -> None:
    config = Augmentation(crop_scale=(0.2, 1.0), flip=True)
    results = [augment(images(), config, generator(seed, "augmentation")) for seed in (1, 1, 2)]
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


def test_the_global_generator_has_no_part_in_it() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    augment(images(), Augmentation(crop_scale=(0.2, 1.0), flip=True), generator(1))
    assert torch.equal(torch.get_rng_state(), before)


def test_shape_dtype_and_range_stay() -> None:
    batch = images(height=17, width=24)
    result = augment(batch, Augmentation(crop_scale=(0.08, 1.0), flip=True), generator(1))
    assert result.shape == batch.shape
    assert result.dtype == torch.float32
    assert result.min() >= 0
    assert result.max() <= 1 + 1e-6


def test_half_of_the_images_are_mirrored_exactly() -> None:
    batch = images(count=DRAWS, channels=1, height=2, width=3)
    result = augment(batch, Augmentation(flip=True), generator(3))
    kept = (result == batch).flatten(1).all(1)
    mirrored = (result == batch.flip(3)).flatten(1).all(1)
    assert (kept ^ mirrored).all()
    assert mirrored.float().mean().item() == pytest.approx(0.5, abs=4 * 0.5 / math.sqrt(DRAWS))


def test_flipping_does_not_change_the_crops() -> None:
    cropped = augment(images(), STANDARD, generator(5))
    both = augment(images(), STANDARD.model_copy(update={"flip": True}), generator(5))
    assert all(torch.equal(b, c) or torch.equal(b, c.flip(2)) for b, c in zip(both, cropped, strict=True))


def test_a_constructed_crop_takes_the_right_pixels() -> None:
    """A gradient whose value is its own position: after the crop it starts and ends at the edges of the box."""
    rows, columns = torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij")
    batch = torch.stack([rows, columns]).unsqueeze(0)
    result = crop_and_resize(batch, torch.tensor([[2, 1, 4, 2]]))[0]
    # Box of 4 rows from 2 on, enlarged twice: sample i stands at 2 + (i + 0.5) / 2 - 0.5, held within rows 2 to 5.
    expected_rows = torch.tensor([2, 2.25, 2.75, 3.25, 3.75, 4.25, 4.75, 5])
    expected_columns = torch.tensor([1, 1, 1.125, 1.375, 1.625, 1.875, 2, 2])
    torch.testing.assert_close(result[0], expected_rows.view(8, 1).expand(8, 8))
    torch.testing.assert_close(result[1], expected_columns.view(1, 8).expand(8, 8))


def test_nothing_outside_the_box_shows() -> None:
    batch = torch.full((1, 1, 9, 9), 100.0)
    batch[..., 3:6, 2:7] = 1.0
    assert torch.equal(crop_and_resize(batch, torch.tensor([[3, 2, 3, 5]])), torch.ones(1, 1, 9, 9))


def test_the_whole_image_stays_itself() -> None:
    batch = images(count=1, height=13, width=29)
    torch.testing.assert_close(crop_and_resize(batch, torch.tensor([[0, 0, 13, 29]])), batch)


@pytest.mark.parametrize(("height", "width"), [(20, 20), (17, 24)])
def test_pixels_are_those_of_torchvision(height: int, width: int) -> None:
    """Also against its antialiased resampling: a crop is only ever enlarged."""
    from torchvision.transforms.v2 import functional as reference

    batch = images(height=height, width=width)
    boxes = crop_boxes(frames(height, width, count=len(batch)), config=STANDARD, generator=generator(7))
    result = crop_and_resize(batch, boxes)
    for image, box, cropped in zip(batch, boxes.tolist(), result, strict=True):
        expected = reference.resized_crop(image, *box, size=[height, width], antialias=True)
        torch.testing.assert_close(cropped, expected, atol=1e-5, rtol=0)


@cache
def _reference_boxes(height: int, width: int, scale: tuple[float, float], ratio: tuple[float, float]) -> Tensor:
    from torchvision.transforms import RandomResizedCrop

    image = torch.zeros(1, height, width)
    with isolated_rng(1, "reference"):
        return torch.tensor([RandomResizedCrop.get_params(image, list(scale), list(ratio)) for _ in range(DRAWS)])


def _area(boxes: Tensor) -> Tensor:
    return boxes[:, 2] * boxes[:, 3]


def _aspect(boxes: Tensor) -> Tensor:
    return (boxes[:, 3] / boxes[:, 2]).log()


def _row(boxes: Tensor) -> Tensor:
    return boxes[:, 0] + boxes[:, 2] / 2


def _column(boxes: Tensor) -> Tensor:
    return boxes[:, 1] + boxes[:, 3] / 2


STATISTICS = (_area, _aspect, _row, _column)


@pytest.mark.parametrize(
    ("height", "width", "config"),
    [
        (64, 64, Augmentation(crop_scale=(0.08, 1.0))),
        (375, 500, Augmentation(crop_scale=(0.08, 1.0))),
        (64, 64, Augmentation(crop_scale=(0.5, 0.6), crop_ratio=(1.0, 2.0))),
        (64, 32, Augmentation(crop_scale=(0.6, 1.0))),  # most tries do not fit, some images take the fallback
        (16, 64, Augmentation(crop_scale=(0.9, 1.0))),  # nothing fits
    ],
)
def test_boxes_are_distributed_as_those_of_torchvision(height: int, width: int, config: Augmentation) -> None:
    from scipy.stats import ks_2samp

    boxes = crop_boxes(frames(height, width, count=DRAWS), config=config, generator=generator(1, "boxes"))
    reference = _reference_boxes(height, width, config.crop_scale, config.crop_ratio)
    for statistic in STATISTICS:
        distance = ks_2samp(statistic(boxes).numpy(), statistic(reference).numpy()).statistic
        # Two samples of n from one distribution differ by more than 2 * sqrt(2 / n) in one of 1500 cases.
        assert distance < 2 * math.sqrt(2 / DRAWS), statistic.__name__


def test_frames_of_one_batch_have_distributions_of_their_own() -> None:
    """Images of three shapes drawn for together: each share is what torchvision draws for that shape alone."""
    from scipy.stats import ks_2samp

    config, shapes = Augmentation(crop_scale=(0.08, 1.0)), [(64, 64), (375, 500), (16, 64)]
    mixed = torch.tensor(shapes).repeat(DRAWS // 4, 1)
    boxes = crop_boxes(mixed, config=config, generator=generator(2, "boxes")).view(-1, 3, 4)
    for index, shape in enumerate(shapes):
        reference = _reference_boxes(*shape, config.crop_scale, config.crop_ratio)
        for statistic in STATISTICS:
            distance = ks_2samp(statistic(boxes[:, index]).numpy(), statistic(reference).numpy()).statistic
            assert distance < 2 * math.sqrt(4 / DRAWS + 1 / DRAWS), (shape, statistic.__name__)


def test_boxes_lie_inside_the_image() -> None:
    for height, width in [(8, 8), (9, 31), (64, 16)]:
        config = Augmentation(crop_scale=(0.08, 1.0), crop_ratio=(0.5, 2.0))
        top, left, box_height, box_width = crop_boxes(
            frames(height, width, count=DRAWS), config=config, generator=generator(2)
        ).unbind(1)
        assert top.min() == 0
        assert left.min() == 0
        assert min(box_height.min(), box_width.min()) > 0
        assert (top + box_height).max() == height
        assert (left + box_width).max() == width


@pytest.mark.parametrize(
    ("height", "width", "box"), [(16, 64, [0, 21, 16, 21]), (64, 16, [21, 0, 21, 16]), (20, 20, [0, 0, 20, 20])]
)
def test_where_no_draw_fits_the_largest_centred_box_is_taken(height: int, width: int, box: list[int]) -> None:
    """An area above the image's never fits."""
    config = Augmentation.model_construct(crop_scale=(2.0, 3.0), crop_ratio=(3 / 4, 4 / 3))
    assert crop_boxes(frames(height, width, count=2), config=config, generator=generator(0)).tolist() == [box, box]


def test_one_image_is_not_cropped_like_the_next() -> None:
    boxes = crop_boxes(frames(64, 64, count=50), config=STANDARD, generator=generator(0))
    assert len({tuple(box) for box in boxes.tolist()}) > 40


def test_the_memory_format_does_not_matter() -> None:
    result = augment(images().contiguous(memory_format=torch.channels_last), STANDARD, generator(1))
    torch.testing.assert_close(result, augment(images(), STANDARD, generator(1)))


@pytest.mark.parametrize("config", [STANDARD, Augmentation(crop_scale=(0.9, 1.0), crop_ratio=(1.0, 2.0), flip=True)])
@pytest.mark.parametrize("size", [None, 12])
def test_batches_that_are_cropped_together_have_the_same_bits(config: Augmentation, size: int | None) -> None:
    """Of many images, tries beyond the first are drawn for all and computed for few."""
    config = config.model_copy(update={"crop_size": size})
    batches, count = 20, 64
    batch = torch.rand(count, 1, 16, 16, generator=generator(0))
    shapes = torch.randint(10, 200, (count, 2), generator=generator(1))
    draws = [draw(count, config, generator(seed)) for seed in range(batches)]
    found = augmented(
        batch.repeat(batches, 1, 1, 1), config, Draws.joined(draws), shapes=shapes.repeat(batches, 1)
    ).split(count)
    for seed, images_of_one in enumerate(found):
        assert torch.equal(images_of_one, augment(batch, config, generator(seed), shapes=shapes))
