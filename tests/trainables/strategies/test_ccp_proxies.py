"""Where proxies of the strategy `ccp` come from, and what a draw leaves alone."""

import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from ccp_tools import by_class, fit_of, with_sections, with_strategy
from torch import Tensor

from trainables.config import RunConfig
from trainables.geometry import lipschitz
from trainables.randomness import numpy_generator
from trainables.strategies import ccp_config as configs
from trainables.strategies.ccp_centers import covering_radius, draw_pool
from trainables.strategies.ccp_fit import ProxyFit
from trainables.training.data import load_run_data


def pool_of(fit: ProxyFit, size: int) -> Tensor:
    """The pool that a draw without augmentation sees now, [C, size, D]."""
    labels = fit.data.split.train_labels
    drawn = draw_pool(labels, size, numpy_generator(fit.run.seed, "ccp", fit.epoch))
    return fit.embed(fit.data.split.train[drawn.reshape(-1)]).view(*drawn.shape, -1)


def test_the_first_proxy_of_a_class_is_the_longest_of_its_pool_and_the_second_the_farthest_from_it(
    ccp_run: RunConfig, private_cache: Path
) -> None:
    fit = fit_of(with_strategy(ccp_run, pool_augmentation="none"), private_cache)
    fit.draw_proxies(torch.zeros_like(fit.proxies), how="k_center")
    pool, chosen, radii = pool_of(fit, 5), by_class(fit), []
    for points, (first, second) in zip(pool, chosen, strict=True):
        assert torch.equal(first, points[points.norm(dim=1).argmax()])
        nearest = torch.minimum(points.norm(dim=1), (points - first).norm(dim=1))
        assert torch.equal(second, points[nearest.argmax()])
        radii.append(covering_radius(points, torch.stack([first, second])).item())
    assert fit.covering_radius == pytest.approx(sum(radii) / len(radii))


def test_old_proxies_count_as_centers_of_their_class(ccp_run: RunConfig, private_cache: Path) -> None:
    fit = fit_of(with_strategy(ccp_run, pool_augmentation="none"), private_cache)
    pool = pool_of(fit, 5)
    seeds = torch.cat([pool[:, 3], pool[:, 1]])  # [K * C, D]
    fit.draw_proxies(seeds, how="k_center")
    for points, (first, _) in zip(pool, by_class(fit), strict=True):
        nearest = torch.minimum((points - points[3]).norm(dim=1), (points - points[1]).norm(dim=1))
        assert torch.equal(first, points[nearest.argmax()])


def test_distances_may_be_taken_between_shortened_embeddings_and_raw_ones_are_kept(
    ccp_run: RunConfig, private_cache: Path
) -> None:
    run = with_strategy(ccp_run, pool_augmentation="none", center_space="normalized")
    fit = fit_of(run, private_cache)
    fit.model.head.weight.data *= 500  # long embeddings: their directions differ, their shortened lengths do not
    pool = pool_of(fit, 5)
    assert pool.norm(dim=2).min() > 1
    fit.draw_proxies(torch.cat([pool[:, 0], pool[:, 0]]), how="k_center")
    others = 0
    for points, (first, _) in zip(pool, by_class(fit), strict=True):
        shortened = lipschitz(points)
        assert torch.equal(first, points[(shortened - shortened[0]).norm(dim=1).argmax()])
        others += not torch.equal(first, points[(points - points[0]).norm(dim=1).argmax()])
    assert others > 0, "the test cannot tell the spaces apart"


@pytest.mark.parametrize(
    ("k", "pool_size", "initialization", "images"),
    [
        (2, 5, "k_center", 5),
        (2, 2, "k_center", 2),
        (3, 2, "k_center", 6),
        (3, 1, "k_center", 3),
        (3, 9, "random_samples", 3),
    ],
)
def test_a_pool_smaller_than_k_counts_in_multiples_of_k(
    k: int, pool_size: int, initialization: Any, images: int
) -> None:
    config = configs.CCP(proxies_per_class=k, pool_size=pool_size, initialization=initialization)
    assert config.pool_images == images


@pytest.mark.parametrize("fields", [{"initialization": "random_samples"}, {"pool_size": 1}])
def test_random_samples_are_the_drawn_images_in_order(
    ccp_run: RunConfig, private_cache: Path, fields: dict[str, Any]
) -> None:
    fit = fit_of(with_strategy(ccp_run, pool_augmentation="none", **fields), private_cache)
    fit.draw_proxies(torch.zeros_like(fit.proxies), how=fit.strategy.initialization)
    assert torch.equal(by_class(fit), pool_of(fit, 2))
    assert fit.covering_radius is None


def test_random_proxies_differ_from_draw_to_draw(ccp_run: RunConfig, private_cache: Path) -> None:
    fit = fit_of(with_strategy(ccp_run, initialization="random"), private_cache)
    draws = []
    for epoch in (0, 3):
        fit.epoch = epoch
        fit.draw_proxies(fit.proxies.detach().clone(), how="random")
        draws.append(fit.proxies.detach().clone())
    assert not torch.equal(*draws)
    assert draws[0].std().item() == pytest.approx(math.sqrt(2 / len(draws[0])), rel=0.15)


@pytest.mark.parametrize(("first", "images"), [("same", True), ("random", False)])
def test_the_first_instance_starts_from_images_or_from_random_numbers(
    ccp_run: RunConfig, private_cache: Path, monkeypatch: pytest.MonkeyPatch, first: str, images: bool
) -> None:
    fit = fit_of(with_strategy(ccp_run, first_instance=first), private_cache)
    draws: list[tuple[float, str]] = []
    monkeypatch.setattr(fit, "draw_proxies", lambda seeds, how: draws.append((seeds.abs().sum().item(), how)))
    fit.train_epoch()
    fit.train_epoch()
    assert draws == [(0.0, "k_center" if images else "random")]


def test_pool_images_are_augmented_and_drawing_changes_nothing_else(ccp_run: RunConfig, private_cache: Path) -> None:
    run = with_strategy(ccp_run, initialization="random_samples")
    fit = fit_of(run, private_cache)
    fit.train_epoch()
    before = fit.state_dict()
    moments = {key: value.clone() for key, value in fit.optimizer.state[fit.proxies].items()}
    fit.draw_proxies(torch.zeros_like(fit.proxies), how="random_samples")
    first = fit.proxies.detach().clone()
    assert not torch.equal(by_class(fit), pool_of(fit, 2))
    fit.draw_proxies(torch.zeros_like(fit.proxies), how="random_samples")
    assert torch.equal(fit.proxies, first), "a draw is a function of seed and epoch"
    assert all(torch.equal(fit.optimizer.state[fit.proxies][key], value) for key, value in moments.items())
    network = fit.weights()["model"]
    assert all(torch.equal(value, network[key]) for key, value in before["weights"]["model"].items())
    fit.epoch += 1
    fit.draw_proxies(torch.zeros_like(fit.proxies), how="random_samples")
    assert not torch.equal(fit.proxies, first)


def test_a_class_that_lost_its_images_keeps_its_proxies(ccp_run: RunConfig, private_cache: Path) -> None:
    data = load_run_data(ccp_run, cache=private_cache)
    some = data.split.train_labels != 4
    split = dataclasses.replace(data.split, train=data.split.train[some], train_labels=data.split.train_labels[some])
    fit = ProxyFit(ccp_run, dataclasses.replace(data, split=split), epochs=6)
    before = by_class(fit)
    fit.draw_proxies(torch.zeros_like(fit.proxies), how="k_center")
    kept = [bool(torch.equal(old, new)) for old, new in zip(before, by_class(fit), strict=True)]
    assert kept == [label == 4 for label in range(fit.classes)]


def test_proxies_train_at_their_own_rate_beside_parameters_of_the_loss(ccp_run: RunConfig, private_cache: Path) -> None:
    loss = {"name": "margin", "miner": "none", "boundary_learning": "learned"}
    for changed, parameters in (({}, 1), ({"loss": loss}, 2)):
        fit = fit_of(with_sections(ccp_run, **changed), private_cache)
        groups = {group["name"]: group for group in fit.optimizer.param_groups}
        assert len(groups["proxies"]["params"]) == parameters
        assert groups["proxies"]["params"][-1] is fit.proxies
        assert groups["proxies"]["base_lr"] == pytest.approx(10 * groups["head"]["base_lr"])
