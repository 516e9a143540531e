"""What runs have cost, what others of their kind will, and what a budget says to it."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cost_tools import cost, work

from study.costs import CostBook, Costs, Estimate, Spent, reached, read_costs, remaining, spent
from study.costs.budget import Budget
from study.costs.costs import cost_of, work_of
from study.costs.spent import covered
from study.spec.model import Resources
from trainables.config import RunConfig
from trainables.ledger import Ledger

RUN = RunConfig.model_validate({"training": {"epochs": 10}})


def row(run: RunConfig = RUN, **changed: Any) -> dict[str, Any]:
    """A row of table `runs`: ten epochs of 4 s, 5 s around them, ended 1000 s after 1970."""
    return {
        "run_id": "0" * 16,
        "attempt": "0001_01",
        "status": "complete",
        "dataset": run.dataset.title,
        "backbone": run.backbone.name,
        "loss": run.loss.name,
        "synthesis": run.synthesis.name,
        "strategy": run.strategy.name,
        "device": run.device,
        "epochs": 10,
        "epochs_trained": 10,
        "train_seconds": 30.0,
        "eval_seconds": 10.0,
        "wall_seconds": 45.0,
        "ended_at": datetime.fromtimestamp(1000, UTC),
        "origin": None,
        "attempts": 1,
        "config": run.model_dump_json(),
        **changed,
    }


def test_a_row_and_a_planned_run_of_one_kind_meet() -> None:
    found = cost_of(row())
    assert (found.seconds, found.epoch_seconds, found.startup, found.ended) == (45.0, 4.0, 5.0, 1000.0)
    longer = work_of(RunConfig.model_validate({"training": {"epochs": 30}}), gpus=0, cpus=1)
    costs = Costs([found])
    assert costs.seconds(longer) == 3 * 45.0
    assert (costs.to_checkpoint(longer), costs.epoch_seconds(longer)) == (9.0, 4.0)


@pytest.mark.parametrize(
    "change",
    [
        {"loss": "proxy_anchor"},
        {"synthesis": "proxy_synthesis"},
        {"backbone": "resnet18"},
        {"backbone": {"name": "conv4", "trainable": False}},
        {"device": "cuda"},
        {"training": {"epochs": 10, "steps_per_epoch": 5}, "loss": "soft_triple"},
    ],
)
def test_other_kinds_tell_nothing(change: dict[str, Any]) -> None:
    other = RunConfig.model_validate({"training": {"epochs": 10}, **change})
    assert Costs([cost_of(row())]).seconds(work_of(other, gpus=0, cpus=1)) is None


def test_a_run_that_went_on_from_a_checkpoint_has_cost_its_earlier_epochs_too() -> None:
    resumed = cost_of(row(wall_seconds=12.0))
    assert (resumed.seconds, resumed.startup) == (40.0, 0.0)


def test_steps_are_the_unit_where_an_epoch_is_so_many() -> None:
    run = RunConfig.model_validate({"training": {"epochs": 10, "steps_per_epoch": 7}})
    assert cost_of(row(run)).units == work_of(run, gpus=0, cpus=1).units == 70.0


def test_a_run_that_trains_nothing_is_one_unit() -> None:
    run = RunConfig.model_validate({"strategy": "untrained"})
    found = cost_of(row(run, epochs=0, epochs_trained=0, train_seconds=0.0, eval_seconds=0.0, wall_seconds=3.0))
    expected = work_of(run, gpus=0, cpus=1)
    assert (found.kind, found.units, found.epoch_seconds) == (expected.kind, 1.0, 3.0)
    assert Costs([found]).seconds(expected) == 3.0


def test_gpus_are_those_of_the_plan_and_one_for_a_gpu_run_that_left_it() -> None:
    assert cost_of(row(), gpus=0.25).gpus == 0.25
    assert cost_of(row(device="cuda")).gpus == 1.0
    assert cost_of(row()).gpus == 0.0


def test_estimates_are_medians_of_complete_runs() -> None:
    seconds = {"a": 100.0, "b": 120.0, "c": 900.0}
    complete = [cost(name, seconds=value) for name, value in seconds.items()]
    costs = Costs([*complete, cost("d", status="failed", seconds=1.0)])
    assert costs.seconds(work(units=20.0)) == 240.0
    assert costs.seconds(work("other")) is None
    assert costs.epoch_seconds(work("other")) == 0.0


def test_hours_are_those_of_own_runs_and_overlapping_ones_share_the_clock() -> None:
    hour = 3600.0
    costs = [
        cost("a", seconds=2 * hour, ended=2 * hour, gpus=0.5),
        cost("b", seconds=2 * hour, ended=3 * hour, gpus=0.5, status="failed"),
        cost("b", seconds=hour, ended=9 * hour, gpus=1.0, attempt="0002_01"),
        cost("c", seconds=5 * hour, ended=5 * hour, copied=True),
    ]
    assert spent(costs) == Spent(gpu_hours=3.0, cpu_hours=10.0, wall_hours=4.0, runs=2)


def test_covered_time() -> None:
    assert covered([]) == 0.0
    assert covered([(5, 6), (0, 2), (1, 3), (1, 2)]) == 4.0


def test_a_budget_is_reached_when_it_is_spent_or_would_be_overspent() -> None:
    nothing, some, all_ = Spent(), Spent(gpu_hours=9.0, wall_hours=3.0, runs=4), Spent(gpu_hours=10.0, runs=5)
    assert reached(Budget(), now=all_, ahead=all_) is None
    assert reached(Budget(gpu_hours=10), now=some, ahead=all_) is None
    assert reached(Budget(gpu_hours=9.5), now=some, ahead=all_) == "gpu_hours"
    assert reached(Budget(gpu_hours=9), now=some, ahead=some) == "gpu_hours"
    assert reached(Budget(wall_hours=3), now=some, ahead=some) == "wall_hours"
    assert reached(Budget(runs=4), now=some, ahead=some) is None, "one of the four, trained again"
    assert reached(Budget(runs=4), now=some, ahead=all_) == "runs"
    assert some.against(Budget(gpu_hours=120, runs=10)) == ["9 of 120 GPU-hours", "4 of 10 runs"]
    assert nothing.against(Budget()) == []


def test_the_book_reads_each_row_once_and_keeps_what_was_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger.open(tmp_path / "results", create=True)
    ledger.commit({**row(), "started_at": None})
    book = CostBook(ledger)
    book.save()
    ledger.forget("0" * 16)
    ledger.commit({**row(run_id="1" * 16, status="failed")})
    asked: list[set[str]] = []
    read = ledger.read
    monkeypatch.setattr(ledger, "read", lambda table, **given: asked.append(given["run_ids"]) or read(table, **given))
    again = CostBook(ledger)
    again.save()
    again.save()
    assert asked == [{"1" * 16}]
    known = read_costs(ledger)
    assert [(each.run_id, each.status) for each in known.ended] == [("0" * 16, "complete"), ("1" * 16, "failed")]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"version": 99}', '{"version": 1, "runs": [{}], "work": {}}'])
def test_a_file_that_cannot_be_read_is_made_anew(tmp_path: Path, content: str) -> None:
    ledger = Ledger.open(tmp_path / "results", create=True)
    ledger.put("costs.json", content.encode())
    assert read_costs(ledger) == Costs()
    ledger.commit(row())
    CostBook(ledger).save()
    assert json.loads(ledger.get("costs.json"))["runs"][0]["seconds"] == 45.0


def test_what_is_left_counts_shares_and_the_unknown() -> None:
    costs = Costs([cost("a", seconds=100.0)], {"b": work(), "c": work(units=20.0), "d": work("other")})
    assert remaining({"b": 0.25, "c": 0.0, "d": 0.0, "e": 0.0}, costs) == (75.0 + 200.0, 2)


def test_a_machine_trains_as_many_at_once_as_the_scarcest_allows() -> None:
    def at_once(**resources: float) -> int:
        return Estimate(Resources(**resources), 1, 0, 1.0).at_once(cpus=4, gpus=1)

    assert at_once(cpu=1) == 4
    assert at_once(cpu=1, gpu=0.3) == 3
    assert at_once(cpu=1, gpu=2) == 0
    assert at_once(cpu=0.1) == 40


def test_attempts_are_those_of_all_tries() -> None:
    tries = [cost("a", status="failed", attempts=4), cost("a", attempt="0002_01"), cost("b")]
    assert (Costs(tries).attempts("a"), Costs(tries).attempts("c")) == (5, 0)
