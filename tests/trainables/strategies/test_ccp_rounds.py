"""The outer loop of the strategy `ccp` by hand, its events, and that it goes on to the same bits."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from ccp_tools import CONFIG, assert_same, built, with_sections, with_strategy
from torch import Tensor

from trainables.config import RunConfig
from trainables.strategies import ccp_config as configs
from trainables.strategies.ccp import CCP
from trainables.strategies.ccp_fit import ProxyFit
from trainables.strategies.ccp_rounds import Rounds
from trainables.training import checkpoint


def rounds(**fields: Any) -> Rounds:
    return Rounds(configs.CCP(proximal_weight=0.1, proximal_decay=0.5, **fields))


def judged(loop: Rounds, values: list[float], *, every: int = 1) -> str:
    """One letter per evaluation: (i)mproved, (s)olved, (b)oth, (-) neither. After a solved instance comes the next."""
    letters = ""
    for number, value in enumerate(values, start=1):
        verdict = loop.observe(value, epoch=number * every)
        letters += {(True, False): "i", (False, True): "s", (True, True): "b"}.get(
            (verdict.improved, verdict.solved), "-"
        )
        if verdict.solved:
            loop.begin(epoch=number * every)
    return letters


SCRIPT = [0.1, 0.2, 0.2, 0.15, 0.05, 0.050005, 0.04, 0.3]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        # Gains up to 1e-5 are none; the first evaluation of an instance always improves it.
        ({"patience": 2}, "ii-si-si"),
        # Judged by 0 .1 .2 .2 .15 .05 .050005 .04
        ({"patience": 2, "compat": "official"}, "iii-si-s"),
        # The first two epochs of an instance do not count: .2 improves, .2 and .15 do not; .050005, .04, .3 likewise.
        ({"patience": 1, "min_epochs": 2}, "-is-is-i"),
        ({"patience": 3, "min_epochs": 3}, "--i--s--"),
        ({"instance": "fixed", "min_epochs": 3}, "iisi-sii"),
        ({"instance": "fixed", "min_epochs": 3, "compat": "official"}, "--s--s--"),
    ],
)
def test_instances_improve_and_end_as_worked_out_by_hand(fields: dict[str, Any], expected: str) -> None:
    assert judged(rounds(**fields), SCRIPT) == expected


def test_a_last_evaluation_of_fixed_length_may_be_the_best_and_epochs_are_counted_not_evaluations() -> None:
    assert judged(rounds(instance="fixed", min_epochs=2), [0.1, 0.2, 0.3, 0.4]) == "ibib"
    assert judged(rounds(instance="fixed", min_epochs=3), [0.1, 0.2, 0.3, 0.4], every=2) == "ibib"
    assert judged(rounds(patience=1, min_epochs=3), [0.1, 0.2, 0.1, 0.1], every=2) == "-is-"


def test_the_penalty_starts_with_the_second_instance_and_decays() -> None:
    loop = rounds()
    weights = []
    for epoch in range(4):
        weights.append(loop.proximal_weight)
        loop.begin(epoch=epoch)
    assert weights == [0, 0.05, 0.025, 0.0125]


def scripted(run: RunConfig, cache: Path, scores: list[float], values: list[float]) -> tuple[CCP, list[Any], list[Any]]:
    """The strategy after its epochs, its rows' figures, and the weights that each epoch ended with."""
    scores.extend(values)
    run = with_sections(run, training={**run.training.model_dump(), "epochs": len(values)})
    strategy = built(run, cache)
    rows, ends = [], []
    observed = strategy.rounds.observe

    def observe(value: float, *, epoch: int) -> Any:
        ends.append(strategy.fit.weights())  # before the strategy acts on it
        return observed(value, epoch=epoch)

    strategy.rounds.observe = observe  # type: ignore[method-assign]
    while not strategy.finished:
        rows.append({key.removeprefix("ccp_"): value for key, value in strategy.epoch()["extra"].items()})
    return strategy, rows, ends


def assert_network(anchor: dict[str, Tensor], weights: dict[str, Any]) -> None:
    assert anchor
    assert all(torch.equal(value, weights["model"][name]) for name, value in anchor.items())


@pytest.mark.parametrize(("compat", "solved", "anchors"), [("none", [4, 7], [2, 5]), ("official", [5, 8], [3, 6])])
def test_events_are_recorded_where_they_happen(
    ccp_run: RunConfig, private_cache: Path, scores: list[float], compat: str, solved: list[int], anchors: list[int]
) -> None:
    """The script of above; the released code keeps the epoch after the best one and ends an epoch later."""
    run = with_strategy(ccp_run, patience=2, proximal_weight=0.1, proximal_decay=0.5, compat=compat)
    strategy, rows, ends = scripted(run, private_cache, scores, SCRIPT)
    assert [row["reinitialized"] for row in rows] == [float(epoch in solved) for epoch in range(1, 9)]
    done = [sum(epoch >= end for end in solved) for epoch in range(1, 9)]
    assert [row["round"] for row in rows] == done
    assert [row["anchor_epoch"] for row in rows] == [[0, *anchors][number] for number in done]
    assert [row["proximal_weight"] for row in rows] == [[0, 0.05, 0.025][number] for number in done]
    steps = rows[0]["steps"]
    assert steps > 1
    assert [row["steps"] for row in rows] == [steps * epoch for epoch in range(1, 9)]
    radii = [row["covering_radius"] for row in rows]
    assert len(set(radii)) == 3
    assert [before != after for before, after in pairwise(radii)] == [epoch in solved for epoch in range(2, 9)]
    assert_network(strategy.fit.anchor, ends[anchors[1] - 1])


def test_a_new_instance_draws_from_the_present_network_beside_the_kept_proxies(
    ccp_run: RunConfig, private_cache: Path, scores: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    draws: list[tuple[int, Tensor]] = []
    draw = ProxyFit.draw_proxies

    def recorded(fit: ProxyFit, seeds: Tensor, *, how: str) -> None:
        draws.append((fit.epoch, seeds.detach().clone()))
        draw(fit, seeds, how=how)

    monkeypatch.setattr(ProxyFit, "draw_proxies", recorded)
    strategy, _, ends = scripted(ccp_run, private_cache, scores, [0.3, 0.4, 0.2])
    assert [epoch for epoch, _ in draws] == [0, 3]
    assert torch.equal(draws[1][1], ends[1]["ccp"]["proxies"])
    now = strategy.fit.weights()
    assert all(torch.equal(now["model"][key], value) for key, value in ends[2]["model"].items()), "no rollback"
    assert not torch.equal(now["ccp"]["proxies"], ends[2]["ccp"]["proxies"])
    assert strategy.selected["epoch"] == 2
    assert torch.equal(strategy.outcome().weights["ccp"]["proxies"], ends[1]["ccp"]["proxies"])


def test_an_instance_may_start_from_the_best_weights(
    ccp_run: RunConfig, private_cache: Path, scores: list[float]
) -> None:
    run = with_strategy(ccp_run, rollback="best")
    strategy, _, ends = scripted(run, private_cache, scores, [0.3, 0.4, 0.2])
    now = strategy.fit.weights()["model"]
    assert all(torch.equal(now[key], value) for key, value in ends[1]["model"].items())
    assert not torch.equal(now["head.weight"], ends[2]["model"]["head.weight"])


@pytest.mark.parametrize(("compat", "anchor"), [("none", 2), ("official", 0)])
def test_an_instance_of_fixed_length_keeps_its_best_epoch_but_officially_pulls_to_zero(
    ccp_run: RunConfig, private_cache: Path, scores: list[float], compat: str, anchor: int
) -> None:
    run = with_strategy(ccp_run, instance="fixed", min_epochs=3, compat=compat, rollback="best")
    strategy, rows, ends = scripted(run, private_cache, scores, [0.3, 0.4, 0.2])
    assert rows[-1]["round"] == 1
    assert rows[-1]["anchor_epoch"] == anchor
    assert strategy.fit.proximal_weight == 0.1
    if anchor:
        assert_network(strategy.fit.anchor, ends[anchor - 1])
    else:
        assert strategy.fit.anchor == {}


@pytest.mark.parametrize(
    ("changed", "stops"),
    [
        ({}, (1, 2, 3, 4, 5)),
        ({"strategy": {**CONFIG, "initialization": "random", "proxies_per_class": 3, "rollback": "best"}}, (3, 4)),
        (
            {"strategy": {**CONFIG, "instance": "fixed", "min_epochs": 2, "compat": "official", "pool_size": 1}},
            (4,),
        ),
        ({"synthesis": {"name": "xbm"}, "training": {"epochs": 6, "batch_size": 16, "precision": "float16"}}, (4,)),
    ],
)
def test_a_run_goes_on_to_the_same_bits_from_every_epoch(
    ccp_run: RunConfig, private_cache: Path, scores: list[float], changed: dict[str, Any], stops: tuple[int, ...]
) -> None:
    """Instances end after epochs 3 and 5; checkpoints from right before, right after and in between."""
    values = [0.1, 0.2, 0.15, 0.1, 0.05, 0.1]
    run = with_sections(ccp_run, **changed)
    scores.extend(values)
    whole = built(run, private_cache)
    states, rows = [], []
    while not whole.finished:
        rows.append(whole.epoch())
        states.append(checkpoint.to_bytes(whole.state_dict(), []))
    assert sum(row["extra"]["ccp_reinitialized"] for row in rows) >= 2
    for done in stops:
        torch.manual_seed(99)
        scores.extend(values[done:])
        resumed = built(run, private_cache)
        resumed.load_state_dict(checkpoint.from_bytes(states[done - 1])[0])
        again = []
        while not resumed.finished:
            again.append(resumed.epoch())
        for got, wanted in zip(again, rows[done:], strict=True):
            assert (got["train_loss"], got["extra"]) == (wanted["train_loss"], wanted["extra"])
        assert_same(resumed.state_dict(), whole.state_dict())
