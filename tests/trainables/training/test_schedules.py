"""Schedules and the optimiser's groups."""

import pytest
import torch
from torch import nn

from trainables.training import schedules
from trainables.training.config import OPTIMIZERS, SGD, Adam
from trainables.training.optimizer import build_optimizer, rates, scale_rates
from trainables.training.schedule_config import Constant, Cosine, InverseTime, Step


def test_step_drops_after_every_n_epochs_until_the_last_drop() -> None:
    config = Step(every=10, gamma=0.1, until=20)
    factors = [schedules.step(config, epoch=epoch, epochs=50) for epoch in (0, 9, 10, 19, 20, 49)]
    assert factors == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])


def test_cosine_goes_from_one_to_zero() -> None:
    factors = [schedules.cosine(Cosine(), epoch=epoch, epochs=10) for epoch in (0, 5, 10)]
    assert factors == pytest.approx([1, 0.5, 0])


def test_constant_is_one() -> None:
    assert schedules.constant(Constant(), epoch=7, epochs=10) == 1


def test_inverse_time_counts_the_steps_of_all_epochs() -> None:
    """The published log-ratio runs end after 30 epochs of 12366 steps at 1 / (1 + 37.098) of their rate."""
    factors = [schedules.inverse_time(InverseTime(), epoch=e, epochs=30, steps=t) for e, t in ((0, 0), (29, 370_980))]
    assert factors == pytest.approx([1, 1 / 38.098])


def test_warmup_rises_by_step_and_ends() -> None:
    rise = [schedules.warmup(epoch=e, step_share=s, warmup_epochs=2) for e, s in ((0, 0.5), (0, 1), (1, 1), (2, 0.1))]
    assert rise == pytest.approx([0.25, 0.5, 1, 1])


def _parameters() -> dict[str, list[nn.Parameter]]:
    return {name: [nn.Parameter(torch.ones(3))] for name in ("backbone", "head", "proxies")}


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_groups_have_their_own_rates(name: str) -> None:
    config = OPTIMIZERS[name].model_validate({"lr": 0.1, "proxy_lr_multiplier": 100, "head_lr_multiplier": 2})
    optimizer = build_optimizer(config, **_parameters())
    assert rates(optimizer) == pytest.approx({"backbone": 0.1, "head": 0.2, "proxies": 10.0})
    scale_rates(optimizer, 0.5)
    assert rates(optimizer) == pytest.approx({"backbone": 0.05, "head": 0.1, "proxies": 5.0})


def test_settings_reach_the_optimizer() -> None:
    adam = build_optimizer(Adam(eps=0.01, weight_decay=0.3), **_parameters())
    assert all(group["eps"] == 0.01 and group["weight_decay"] == 0.3 for group in adam.param_groups)
    sgd = build_optimizer(SGD(momentum=0.8, nesterov=True), **_parameters())
    assert all(group["momentum"] == 0.8 and group["nesterov"] for group in sgd.param_groups)


def test_frozen_and_missing_parameters_get_no_group() -> None:
    parameters = _parameters()
    parameters["backbone"][0].requires_grad_(False)
    optimizer = build_optimizer(Adam(), backbone=parameters["backbone"], head=parameters["head"], proxies=())
    assert [group["name"] for group in optimizer.param_groups] == ["head"]
