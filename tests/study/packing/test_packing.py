"""What a launch decides about shares: declared, measured, grown, remembered; without Ray and without a GPU."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from study.launch.cluster import ResourceError
from study.packing import PACKING_KEY, Gpu, PackingBook
from study.packing import packing as module
from study.packing.packing import Packing
from study.plan import Plan, PlannedRun, build_plan
from study.spec import load_spec
from trainables.ledger import Ledger

GIB = 2**30
GPU = Gpu("Fake", 40 * GIB)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.open(tmp_path / "results", create=True)


class Machines:
    """A GPU that measures as it is told to, and how often it was asked."""

    def __init__(self, gpu: Gpu, needs: Mapping[str, float]) -> None:
        self.gpu, self.needs = gpu, needs
        self.probed: list[str] = []
        self.told: dict[str, str] = {}

    def smallest_gpu(self) -> Gpu:
        return self.gpu

    def measured_needs(
        self, runs: Mapping[str, PlannedRun], *, session: Mapping[str, Any], environment: Mapping[str, str]
    ) -> dict[str, float]:
        self.told = dict(environment)
        self.probed += [run.config.loss.name for run in runs.values()]
        found = {kind: self.needs.get(run.config.loss.name) for kind, run in runs.items()}
        return {kind: need for kind, need in found.items() if need}


@pytest.fixture
def machines(monkeypatch: pytest.MonkeyPatch) -> Machines:
    machines = Machines(GPU, {"norm_softmax": 9 * GIB, "proxy_anchor": 15 * GIB})
    monkeypatch.setattr(module, "smallest_gpu", machines.smallest_gpu)
    monkeypatch.setattr(module, "measured_needs", machines.measured_needs)
    return machines


def plan_of(folder: Path, resources: str, *, seeds: int = 2) -> Plan:
    methods = "{soft: {loss: norm_softmax}, anchor: {loss: proxy_anchor}, cpu: {resources: {gpu: 0}}}"
    text = f"study: s\nmethods: {methods}\nuntrained: false\nreplicates: {{seeds: {seeds}}}\nresources: {resources}\n"
    (folder / "s.yaml").write_text(text)
    return build_plan(load_spec(folder / "s.yaml"), resolve_data=False)


def shares(packing: Packing, plan: Plan) -> dict[str, float]:
    """GPUs that each method's runs get."""
    found = {plan.cells[run.cells[0]].method: packing.resources(run).gpus for run in plan.runs.values()}
    return {method: found[method] for method in sorted(found)}


def run_of(plan: Plan, method: str, *, seed: int = 0) -> str:
    (cell,) = (cell for cell in plan.cells if cell.method == method)
    return cell.replicates[seed].run_id


def test_a_declared_need_is_a_share_of_the_gpus_that_there_are(
    ledger: Ledger, machines: Machines, tmp_path: Path
) -> None:
    plan, packing = plan_of(tmp_path, "{cpu: 2, gpu_memory: 10GiB}"), Packing(ledger)
    sizes = packing.prepare(list(plan.runs.values()), session={})
    assert shares(packing, plan) == {"anchor": 0.25, "cpu": 0, "soft": 0.25}
    assert {(size.cpu, size.gpu, size.gpu_memory) for size in sizes} == {(2, 0.25, None), (2, 0.0, 10 * GIB)}
    assert packing.of(run_of(plan, "cpu")) is None
    assert machines.probed == []


def test_needs_are_measured_once_for_each_kind_of_run_and_of_gpu(
    ledger: Ledger, machines: Machines, tmp_path: Path
) -> None:
    plan, packing = plan_of(tmp_path, "{gpu: auto}"), Packing(ledger, environment={"AWS_ENDPOINT_URL": "here"})
    packing.prepare(list(plan.runs.values()), session={})
    assert shares(packing, plan) == {"anchor": 0.5, "cpu": 0, "soft": 0.25}
    assert machines.told == {"AWS_ENDPOINT_URL": "here"}, "workers of a cluster lack it"
    assert sorted(machines.probed) == ["norm_softmax", "proxy_anchor"]
    machines.probed.clear()
    again = Packing(ledger)
    again.prepare(list(plan_of(tmp_path, "{gpu: auto}", seeds=5).runs.values()), session={})
    assert (machines.probed, shares(again, plan)) == ([], shares(packing, plan))
    machines.gpu, elsewhere = Gpu("Larger", 80 * GIB), Packing(ledger)
    elsewhere.prepare(list(plan.runs.values()), session={})
    assert sorted(machines.probed) == ["norm_softmax", "proxy_anchor"]
    assert shares(elsewhere, plan) == {"anchor": 0.2, "cpu": 0, "soft": 0.125}


def test_what_cannot_be_measured_gets_a_gpu_until_one_run_has_told(
    ledger: Ledger, machines: Machines, tmp_path: Path
) -> None:
    machines.needs = {"proxy_anchor": 15 * GIB}
    plan, packing = plan_of(tmp_path, "{gpu: auto}"), Packing(ledger)
    packing.prepare(list(plan.runs.values()), session={})
    assert shares(packing, plan) == {"anchor": 0.5, "cpu": 0, "soft": 1}
    packing.learn(run_of(plan, "soft"), need=4 * GIB)
    packing.learn(run_of(plan, "anchor"), need=1 * GIB)
    assert shares(packing, plan) == {"anchor": 0.5, "cpu": 0, "soft": 0.1}


def test_a_run_out_of_memory_gets_more_and_so_do_its_siblings_also_after_a_restart(
    ledger: Ledger, machines: Machines, tmp_path: Path
) -> None:
    plan, packing = plan_of(tmp_path, "{gpu: 0.25}"), Packing(ledger)
    packing.prepare(list(plan.runs.values()), session={})
    packing.enlarge(run_of(plan, "soft"), share=0.25)
    assert shares(packing, plan) == {"anchor": 0.25, "cpu": 0, "soft": 0.5}
    sibling = packing.of(run_of(plan, "soft", seed=1))
    assert sibling is not None and sibling.gpus == 0.5
    again = Packing(ledger)
    again.prepare(list(plan.runs.values()), session={})
    assert shares(again, plan) == {"anchor": 0.25, "cpu": 0, "soft": 0.5}
    again.enlarge(run_of(plan, "soft"), share=0.5)
    assert shares(again, plan)["soft"] == 1
    assert again.enlarged == {run_of(plan, "soft")}
    assert PackingBook(ledger).retried == {run_of(plan, "soft"): 1.0}


def test_what_a_run_will_cost_is_told_with_its_share(ledger: Ledger, machines: Machines, tmp_path: Path) -> None:
    told: list[tuple[str, float]] = []
    packing = Packing(ledger, expect=lambda runs: told.extend((run.run_id, run.resources.gpus) for run in runs))
    plan = plan_of(tmp_path, "{gpu_memory: 10GiB}", seeds=1)
    packing.prepare(list(plan.runs.values()), session={})
    packing.enlarge(run_of(plan, "soft"), share=0.25)
    soft, anchor = run_of(plan, "soft"), run_of(plan, "anchor")
    assert told == [(soft, 0.25), (anchor, 0.25), (soft, 0.5)]


def test_automatic_shares_need_a_gpu_whose_memory_is_known(ledger: Ledger, machines: Machines, tmp_path: Path) -> None:
    machines.gpu = Gpu("", 0)
    plan = plan_of(tmp_path, "{gpu_memory: 10GiB}")
    with pytest.raises(ResourceError, match="or give the share as a number"):
        Packing(ledger).prepare(list(plan.runs.values()), session={})
    fixed = plan_of(tmp_path, "{gpu: 0.25}")
    packing = Packing(ledger)
    packing.prepare(list(fixed.runs.values()), session={})
    packing.enlarge(run_of(fixed, "soft"), share=0.25)
    assert shares(packing, fixed) == {"anchor": 0.25, "cpu": 0, "soft": 0.5}


def test_a_study_without_shares_asks_no_gpu(ledger: Ledger, tmp_path: Path) -> None:
    plan, packing, searcher = plan_of(tmp_path, "{gpu: 1}"), Packing(ledger), object()
    sizes = packing.prepare(list(plan.runs.values()), session={})
    assert sizes == {run.resources for run in plan.runs.values()}
    assert packing.around(searcher, stop=None) is searcher  # type: ignore[arg-type]


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"version": 9}', '{"version": 1, "needs": {"a": 1}}'])
def test_a_damaged_memory_is_begun_anew(ledger: Ledger, damage: str) -> None:
    ledger.put(PACKING_KEY, damage.encode())
    assert PackingBook(ledger).shares == {}


def test_several_drivers_keep_what_the_others_found(ledger: Ledger) -> None:
    first, second = PackingBook(ledger), PackingBook(ledger)
    first.note("shares", "Fake", "a", 0.5)
    first.save()
    second.note("shares", "Fake", "a", 0.25)
    second.note("needs", "Fake", "b", 7.0)
    second.retried["r"] = 0.25
    second.save()
    content = json.loads(ledger.get(PACKING_KEY))
    assert content == {
        "version": 1,
        "needs": {"Fake": {"b": 7.0}},
        "shares": {"Fake": {"a": 0.5}},
        "retried": {"r": 0.25},
    }
