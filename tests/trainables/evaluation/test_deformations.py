"""Deformed test images: each against numbers by hand, seeded per image, and measured in a run's outcome."""

import math
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from trainables.backbones.build import build_backbone
from trainables.config import RunConfig
from trainables.datasets.catalog import load_images, resolve
from trainables.datasets.config import ImageFolder
from trainables.evaluation import retrieval_metrics
from trainables.evaluation.deformations import deform
from trainables.training.build import build_strategy
from trainables.training.config import Deformation
from trainables.training.deformed import deformed_embeddings

NAMES = ("cutout", "pixel_dropout", "zoom_in", "zoom_out", "rotation", "shear", "noise", "blur")
MEDIUM = {
    **{"cutout": 0.5, "pixel_dropout": 0.3, "zoom_in": 0.5, "zoom_out": 0.5},
    **{"rotation": 20, "shear": 20, "noise": 0.1, "blur": 1.0},
}
RANDOM = ("cutout", "pixel_dropout", "rotation", "shear", "noise")
EXACT: dict[str, Any] = {"rtol": 1e-9, "atol": 1e-9}


def deformation(name: str, strength: float | None = None) -> Deformation:
    return Deformation.model_validate({"name": name, "strength": MEDIUM[name] if strength is None else strength})


def random_images(count: int = 4, channels: int = 3, height: int = 9, width: int = 9) -> Tensor:
    source = torch.Generator().manual_seed(0)
    return torch.rand(count, channels, height, width, generator=source, dtype=torch.float64)


def image(rows: list[list[float]]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)[None, None]


class TestAll:
    @pytest.mark.parametrize("name", NAMES)
    def test_strength_0_is_the_identity(self, name: str) -> None:
        x = random_images()
        assert torch.equal(deform(x, deformation(name, 0), range(4)), x)

    @pytest.mark.parametrize("name", NAMES)
    @pytest.mark.parametrize("strength", ["medium", "strongest"])
    def test_images_stay_images(self, name: str, strength: str) -> None:
        extreme = {"cutout": 1, "pixel_dropout": 1, "rotation": 180, "shear": 80}
        value = MEDIUM[name] if strength == "medium" else extreme.get(name, 50.0)
        for x in (random_images().float(), random_images(1, 1, 5, 12), random_images(2, 1, 2, 1)):
            before = x.clone()
            y = deform(x, deformation(name, value), range(len(x)))
            assert (y.shape, y.dtype) == (x.shape, x.dtype)
            assert y.isfinite().all()
            assert (y.min() >= 0, y.max() <= 1) == (True, True)
            assert torch.equal(x, before)

    @pytest.mark.parametrize("name", NAMES)
    def test_it_changes_them(self, name: str) -> None:
        x = random_images()
        assert (deform(x, deformation(name), range(4)) != x).flatten(1).any(dim=1).all()

    @pytest.mark.parametrize("name", NAMES)
    def test_an_image_is_deformed_alike_in_whatever_batch(self, name: str) -> None:
        x = random_images()
        whole = deform(x, deformation(name), [7, 3, 11, 5])
        order = [2, 0, 3, 1]
        shuffled = deform(x[order], deformation(name), [11, 7, 5, 3])
        torch.testing.assert_close(shuffled, whole[order], **EXACT)
        for row, index in enumerate([7, 3, 11, 5]):
            torch.testing.assert_close(deform(x[row : row + 1], deformation(name), [index])[0], whole[row], **EXACT)

    @pytest.mark.parametrize("name", RANDOM)
    def test_images_are_deformed_differently(self, name: str) -> None:
        x = random_images(1).expand(16, -1, -1, -1)
        y = deform(x, deformation(name), range(16))
        assert len({tuple(row.flatten().tolist()) for row in y}) >= 2

    @pytest.mark.parametrize("name", RANDOM)
    def test_global_generators_take_no_part(self, name: str) -> None:
        torch.manual_seed(0)
        first = deform(random_images(), deformation(name), range(4))
        state = torch.get_rng_state()
        torch.manual_seed(1)
        assert torch.equal(deform(random_images(), deformation(name), range(4)), first)
        torch.manual_seed(0)
        assert torch.equal(torch.get_rng_state(), state)

    def test_one_number_per_image(self) -> None:
        with pytest.raises(ValueError, match="and 3"):
            deform(random_images(), deformation("noise"), range(3))


class TestByHand:
    def test_cutout(self) -> None:
        """A hole of half the sides, filled with each channel's mean, at every possible place over many images."""
        x = random_images(1, 3, 6, 8).expand(400, -1, -1, -1)
        y = deform(x, deformation("cutout", 0.5), range(400))
        places = set()
        for before, after in zip(x, y, strict=True):
            hole = (before != after).any(dim=0)
            rows, columns = hole.any(dim=1).nonzero().flatten(), hole.any(dim=0).nonzero().flatten()
            assert (len(rows), len(columns), int(hole.sum())) == (3, 4, 12)
            torch.testing.assert_close(after[:, hole], before.mean((1, 2))[:, None].expand(-1, 12), **EXACT)
            places.add((int(rows[0]), int(columns[0])))
        assert places == {(top, left) for top in range(4) for left in range(5)}
        whole = deform(x[:1], deformation("cutout", 1), [0])
        torch.testing.assert_close(whole, x[:1].mean((2, 3), keepdim=True).expand(-1, -1, 6, 8), **EXACT)

    def test_pixel_dropout(self) -> None:
        x = random_images(2, 3, 80, 80)
        some, more = (deform(x, deformation("pixel_dropout", rate), range(2)) for rate in (0.2, 0.6))
        dropped, dropped_more = (some != x).all(dim=1), (more != x).all(dim=1)
        assert torch.equal(dropped, (some != x).any(dim=1)), "all channels of a pixel at once"
        assert float(dropped.double().mean()) == pytest.approx(0.2, abs=0.02)
        assert float(dropped_more.double().mean()) == pytest.approx(0.6, abs=0.02)
        assert not (dropped & ~dropped_more).any(), "a higher rate drops more of the same"
        assert not torch.equal(dropped[0], dropped[1])
        torch.testing.assert_close(some[0, :, dropped[0]].amax(dim=1), x[0].mean((1, 2)), **EXACT)

    def test_zoom_in(self) -> None:
        """By 2: four pixels look at 0.75, 1.25, 1.75 and 2.25 of their line."""
        line = [0.0, 0.2, 0.6, 1.0]
        seen = [0.15, 0.3, 0.5, 0.7]
        y = deform(image([line] * 4), deformation("zoom_in", 1), [0])
        torch.testing.assert_close(y, image([seen] * 4), **EXACT)
        turned = deform(image([line] * 4).transpose(2, 3), deformation("zoom_in", 1), [0])
        torch.testing.assert_close(turned, image([seen] * 4).transpose(2, 3), **EXACT)

    def test_zoom_out(self) -> None:
        """By 2: two pixels with the weights 3/7, 3/7, 1/7 of a triangle, whose ends lie 2 pixels off its center."""
        line = [0.0, 0.7, 0.7, 0.28]
        left, right = (3 * 0.0 + 3 * 0.7 + 0.7) / 7, (0.7 + 3 * 0.7 + 3 * 0.28) / 7
        mean = 0.42
        rows = [[mean] * 4, [mean, left, right, mean], [mean, left, right, mean], [mean] * 4]
        torch.testing.assert_close(deform(image([line] * 4), deformation("zoom_out", 1), [0]), image(rows), **EXACT)

    @pytest.mark.parametrize("size", [(6, 6), (7, 7)])
    def test_rotation_by_right_angles(self, size: tuple[int, int]) -> None:
        x = random_images(16, 2, *size)
        turned = deform(x, deformation("rotation", 90), range(16))
        sides = set()
        for before, after in zip(x, turned, strict=True):
            fits = [torch.allclose(after, before.rot90(k, (1, 2)), **EXACT) for k in (1, -1)]
            assert sum(fits) == 1
            sides.add(fits.index(True))
        assert sides == {0, 1}, "both sides are drawn"
        torch.testing.assert_close(deform(x, deformation("rotation", 180), range(16)), x.rot90(2, (2, 3)), **EXACT)

    def test_rotation_by_45_degrees(self) -> None:
        """A 3 x 3 image: a corner of the result looks sqrt(2) above, or beside, the center.

        There an edge's pixel has the share 2 - sqrt(2), and the mean, which lies beyond, the rest.
        """
        x = image([[0.0, 0.9, 0.0], [0.3, 0.6, 0.3], [0.0, 0.9, 0.0]])
        y = deform(x, deformation("rotation", 45), [0])
        mean, inside = 3.0 / 9, 2 - math.sqrt(2)
        corners = sorted(float(y[0, 0, row, column]) for row in (0, 2) for column in (0, 2))
        expected = sorted([inside * value + (1 - inside) * mean for value in (0.9, 0.9, 0.3, 0.3)])
        assert corners == pytest.approx(expected, abs=1e-9)
        assert float(y[0, 0, 1, 1]) == pytest.approx(0.6, abs=1e-9)

    def test_shear_by_45_degrees_shifts_each_row_by_its_height(self) -> None:
        x = image([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6], [0.7, 0.8, 0.9]])
        right = image([[0.2, 0.3, 0.5], [0.4, 0.5, 0.6], [0.5, 0.7, 0.8]])
        left = image([[0.5, 0.1, 0.2], [0.4, 0.5, 0.6], [0.8, 0.9, 0.5]])
        seen = set()
        for index in range(16):
            y = deform(x, deformation("shear", 45), [index])
            fits = [torch.allclose(y, sheared, **EXACT) for sheared in (right, left)]
            assert sum(fits) == 1
            seen.add(fits.index(True))
        assert seen == {0, 1}

    def test_noise(self) -> None:
        x = torch.full((4, 3, 60, 60), 0.5, dtype=torch.float64)
        weak, strong = (deform(x, deformation("noise", sigma), range(4)) for sigma in (0.05, 0.1))
        assert float((weak - x).mean()) == pytest.approx(0, abs=0.002)
        assert float((weak - x).std()) == pytest.approx(0.05, rel=0.02)
        torch.testing.assert_close(strong - x, 2 * (weak - x), **EXACT)
        channels = (weak - x)[0].flatten(1)
        assert abs(float(torch.corrcoef(channels)[0, 1])) < 0.05
        cut = deform(torch.zeros_like(x), deformation("noise", 0.1), range(4))
        assert float((cut == 0).double().mean()) == pytest.approx(0.5, abs=0.02)

    def test_blur(self) -> None:
        """One bright pixel becomes the product of two normalised Gaussians."""
        x = torch.zeros(1, 1, 15, 15, dtype=torch.float64)
        x[0, 0, 7, 7] = 1
        y = deform(x, deformation("blur", 1.5), [0])
        weights = [math.exp(-(offset**2) / (2 * 1.5**2)) for offset in range(-6, 7)]
        for row in range(15):
            for column in range(15):
                near = max(abs(row - 7), abs(column - 7)) <= 6
                product = weights[row - 1] * weights[column - 1] / sum(weights) ** 2 if near else 0.0
                assert float(y[0, 0, row, column]) == pytest.approx(product, abs=1e-9)

    def test_blur_repeats_the_outermost_pixels(self) -> None:
        """Of a line of three: what lies on the left counts as the first pixel, on the right as the last."""
        line = [0.2, 0.5, 1.0]
        weights = [math.exp(-(offset**2) / 2) for offset in range(-4, 5)]
        expected = [
            sum(w * line[min(max(place + offset, 0), 2)] for offset, w in zip(range(-4, 5), weights, strict=True))
            / sum(weights)
            for place in range(3)
        ]
        y = deform(image([line] * 2), deformation("blur", 1), [0])
        torch.testing.assert_close(y, image([expected] * 2), **EXACT)


class TestConfig:
    @pytest.mark.parametrize("name", ["cutout", "pixel_dropout", "rotation", "shear"])
    def test_strengths_out_of_bounds(self, name: str) -> None:
        with pytest.raises(ValidationError, match=f"strength of {name} is at most"):
            deformation(name, 181)
        with pytest.raises(ValidationError):
            deformation(name, -0.1)

    def test_titles(self) -> None:
        assert [deformation("cutout", 0.25).title, deformation("rotation", 15).title] == ["cutout_0.25", "rotation_15"]

    def test_they_do_not_change_the_id_of_a_run(self, tiny_run: RunConfig) -> None:
        assert deformed(tiny_run).run_id() == tiny_run.run_id()


def deformed(run: RunConfig, **sections: Any) -> RunConfig:
    asked = [{"name": "rotation", "strength": 0}, {"name": "noise", "strength": 0.5}, {"name": "blur", "strength": 2}]
    protocol = {**run.protocol.model_dump(), "deformations": asked}
    return RunConfig.model_validate({**run.model_dump(), "protocol": protocol, **sections})


def outcome_of(run: RunConfig, cache: Path) -> tuple[Any, Any]:
    strategy: Any = build_strategy(run, cache=cache)
    while not strategy.finished:
        strategy.epoch()
    return strategy, strategy.outcome()


def check_figures(outcome: Any) -> None:
    for metric in ("recall_at_1", "map_at_r"):
        values = [outcome.extra[f"test_{metric}_{title}"] for title in ("rotation_0", "noise_0.5", "blur_2")]
        assert outcome.extra[f"test_{metric}_mean_drop"] == pytest.approx(outcome.test[metric] - sum(values) / 3)
    assert outcome.extra["test_map_at_r_noise_0.5"] != outcome.test["map_at_r"]


class TestRuns:
    SHORT: ClassVar = {"training": {"epochs": 1, "batch_size": 16}}

    def test_a_trained_network(self, tiny_run: RunConfig, private_cache: Path) -> None:
        strategy, outcome = outcome_of(deformed(tiny_run, **self.SHORT), private_cache)
        check_figures(outcome)
        assert outcome.extra["test_map_at_r_rotation_0"] == outcome.test["map_at_r"], "strength 0 is the image itself"
        split, model = strategy.data.split, strategy.fit.model.eval()
        with torch.inference_mode():
            images = deform(strategy.data.batch(split.test), deformation("noise", 0.5), split.test.tolist())
            expected = retrieval_metrics(model(images), torch.from_numpy(split.test_labels))
        assert outcome.extra["test_map_at_r_noise_0.5"] == pytest.approx(expected["map_at_r"], abs=1e-6)

    def test_a_frozen_backbone_sees_the_deformed_images(self, tiny_run: RunConfig, private_cache: Path) -> None:
        frozen = {**tiny_run.backbone.model_dump(), "trainable": False}
        strategy, outcome = outcome_of(deformed(tiny_run, backbone=frozen, **self.SHORT), private_cache)
        assert strategy.data.cached_features
        check_figures(outcome)
        data, split = strategy.data, strategy.data.split
        backbone = build_backbone(tiny_run.backbone, channels=1, seed=tiny_run.seed).eval()
        images = torch.from_numpy(data.images.images[split.test]).float() / 255
        network = torch.nn.Sequential(backbone.to(memory_format=torch.channels_last), strategy.fit.model)
        same = deformed_embeddings(strategy.run, data, network, deformation("blur", 0), layout="channels_last")
        torch.testing.assert_close(same, strategy.fit.embed(split.test), rtol=1e-5, atol=1e-7)
        with torch.inference_mode():
            blurred = deform(images, deformation("blur", 2), split.test.tolist())
            embeddings = strategy.fit.model.head(backbone(blurred))
        expected = retrieval_metrics(embeddings, torch.from_numpy(split.test_labels))
        # Random features lie so close together that rounding alone may exchange a neighbour or two.
        assert outcome.extra["test_map_at_r_blur_2"] == pytest.approx(expected["map_at_r"], abs=0.01)

    @pytest.mark.parametrize("trainable", [True, False])
    def test_the_untrained_embedding(self, tiny_run: RunConfig, private_cache: Path, trainable: bool) -> None:
        backbone = {**tiny_run.backbone.model_dump(), "trainable": trainable}
        _, outcome = outcome_of(deformed(tiny_run, backbone=backbone, strategy="untrained"), private_cache)
        check_figures(outcome)
        if trainable:
            assert outcome.extra["test_map_at_r_rotation_0"] == outcome.test["map_at_r"]

    def test_deformations_change_nothing_else(self, tiny_run: RunConfig, private_cache: Path) -> None:
        short = RunConfig.model_validate({**tiny_run.model_dump(), **self.SHORT})
        _, without = outcome_of(short, private_cache)
        _, outcome = outcome_of(deformed(short), private_cache)
        assert (without.test, without.validation, without.extra) == (outcome.test, outcome.validation, {})
        assert torch.equal(without.test_embeddings, outcome.test_embeddings)

    def test_where_test_classes_are_taboo_none_is_deformed(self, tiny_run: RunConfig, private_cache: Path) -> None:
        run = deformed(tiny_run, **self.SHORT)
        run = run.model_copy(update={"protocol": run.protocol.model_copy(update={"test": "never"})})
        assert outcome_of(run, private_cache)[1].extra == {}


def test_real_images_lose_what_a_deformation_takes(shared_data: Path, private_cache: Path) -> None:
    """On photographs: colors stay near, blur takes contrast, and characters stay findable by their raw pixels."""
    config = ImageFolder(path=str(shared_data / "cub200_2010_112px.zip"), image_size=32, label="cub200_2010")
    images = load_images(resolve(config, search=(), cache=private_cache), cache=private_cache).images
    chosen = np.arange(0, len(images), 200)
    x = torch.from_numpy(images[chosen]).float() / 255
    for name in NAMES:
        y = deform(x, deformation(name), chosen.tolist())
        assert (y.mean((1, 2, 3)) - x.mean((1, 2, 3))).abs().max() < 0.15, name
        own = (y - x).square().mean((1, 2, 3))
        others = (y.roll(1, 0) - x).square().mean((1, 2, 3))
        assert (own < others).double().mean() > 0.9, name
    blurred = deform(x, deformation("blur", 3), chosen.tolist())
    assert (blurred.std((2, 3)) < x.std((2, 3))).all()
