"""Which due runs train together, what their trials are told, and what a folder remembers; without Ray."""

import json
from pathlib import Path
from typing import Any

import pytest

from study.cli.views.fusing import fusing_lines
from study.fusing import FUSED_KEY, Formed, FusedBook, FusedGroup, Groups
from study.fusing.configurations import only, run_ids, status_of
from study.plan import Plan, build_plan
from study.spec import SpecError, load_spec
from trainables.ledger import Ledger

SPEC = """
study: s
extends: fast_cpu
untrained: false
methods:
  norm-softmax: {{loss: norm_softmax}}
  PS: {{loss: norm_softmax, synthesis: proxy_synthesis, baseline: norm-softmax}}
  triplet: {{loss: triplet}}
compare: {{dataset: [glyphs], synthesis.mixup_alpha: [0.2, 1.0]}}
replicates: {{seeds: {seeds}}}
settings: {{backbone: {{name: conv4, trainable: false}}}}
resources: {{{resources}}}
"""


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.open(tmp_path / "results", create=True)


def plan_of(folder: Path, resources: str, *, seeds: int = 4) -> Plan:
    path = folder / "s.yaml"
    path.write_text(SPEC.format(resources=resources, seeds=seeds))
    return build_plan(load_spec(path))


def formed(plan: Plan, ledger: Ledger, *, places: int = 1, told: list[str] | None = None) -> Formed:
    heard = [] if told is None else told
    return Groups(ledger).of(list(plan.runs.values()), places=lambda size: places, tell=heard.append)


def by_method(plan: Plan, method: str) -> list[str]:
    return [each.run_id for cell in plan.cells if cell.method == method for each in cell.replicates]


def test_runs_of_one_kind_train_together(tmp_path: Path, ledger: Ledger) -> None:
    plan, told = plan_of(tmp_path, "fuse: 8"), []
    found = formed(plan, ledger, told=told)
    assert [group.runs for group in found.groups] == [
        tuple(by_method(plan, "norm-softmax")),
        tuple(by_method(plan, "PS")),
    ], "alphas and seeds together, the synthesis apart"
    assert [run.run_id for run in found.singles] == by_method(plan, "triplet")
    assert told == ["fusing: 12 runs train together, in 2 groups"]
    assert json.loads(ledger.get(FUSED_KEY)) == {"version": 1, "groups": [list(group.runs) for group in found.groups]}


@pytest.mark.parametrize(
    ("resources", "places", "sizes"),
    [
        ("fuse: 3", 1, [2, 2, 2, 3, 3]),
        ("fuse: 64", 4, [4, 4, 4]),
        ("fuse: 64", 100, []),
        ("fuse: auto", 1, []),
        ("fuse: off", 1, []),
        ("gpu: 1", 1, []),
        ("gpu: 1, fuse: 64", 1, [4, 8]),
        ("gpu: 1, fuse: off", 1, []),
    ],
)
def test_how_many_train_together(tmp_path: Path, ledger: Ledger, resources: str, places: int, sizes: list[int]) -> None:
    found = formed(plan_of(tmp_path, resources), ledger, places=places)
    assert sorted(len(group.runs) for group in found.groups) == sizes
    assert len(found.singles) == 16 - sum(sizes)


def test_groups_take_whole_gpus(tmp_path: Path, ledger: Ledger) -> None:
    found = formed(plan_of(tmp_path, "cpu: 2, gpu_memory: 1GiB, fuse: 64"), ledger)
    assert {(size.cpu, size.gpus) for size in found.sizes} == {(2, 1.0)}
    assert {run.resources.gpu for run in found.singles} == {"auto"}


def test_a_trial_carries_the_runs_of_a_group_that_are_due(tmp_path: Path, ledger: Ledger) -> None:
    plan = plan_of(tmp_path, "fuse: 8")
    formed(plan, ledger)
    first, second, *_ = by_method(plan, "PS")
    due = [run for run_id, run in plan.runs.items() if run_id not in [*by_method(plan, "norm-softmax")[:3], first]]
    again = Groups(ledger).of(due, places=lambda size: 1, tell=lambda line: None)
    told = {"sources": (), "cutoffs": [], "session": {"study": "s"}, "judge": None}
    trials = again.configured([{**told, "run_id": run.run_id, "run": "{}", "resources": {"CPU": 1}} for run in due])
    sizes = [(trial.get("size"), [each["slot"] for each in trial.get("members", [])]) for trial in trials]
    assert sizes == [(4, [3]), (8, [1, 2, 3, 4, 5, 6, 7]), *[(None, [])] * 4]
    assert trials[1]["run_id"].startswith("fused-")
    assert trials[1]["session"] == {"study": "s"}
    assert run_ids(trials[1])[0] == second
    assert run_ids(only([second], trials[1])) == (second,)
    assert only([second], trials[1])["size"] == 8
    assert status_of(second, {"status": "ended", "statuses": {second: "failed"}}) == "failed"
    assert status_of(second, {"status": "failed", "statuses": {}}) == "failed"
    assert status_of(second, None) is None


def test_smaller_groups_are_formed_anew_but_not_under_way(tmp_path: Path, ledger: Ledger) -> None:
    plan = plan_of(tmp_path, "fuse: 8")
    before = list(formed(plan, ledger).groups)
    saved = by_method(plan, "PS")[3]
    attempt = ledger.new_attempt(saved, generation=1)
    ledger.save_checkpoint(saved, attempt, 1, b"state", generation=None)
    now = list(formed(plan_of(tmp_path, "fuse: 2"), ledger).groups)
    assert before[1] in now
    assert [len(group.runs) for group in now] == [8, 2, 2]
    assert FusedBook(ledger).groups == now


def test_groups_of_other_shards_stay(ledger: Ledger) -> None:
    FusedBook(ledger).save([FusedGroup(("a", "b")), FusedGroup(("c", "d"))])
    FusedBook(ledger).save([FusedGroup(("d", "e"))])
    assert FusedBook(ledger).groups == [FusedGroup(("a", "b")), FusedGroup(("d", "e"))]


@pytest.mark.parametrize("content", [b"", b"[]", b'{"version": 2, "groups": []}', b'{"version": 1, "groups": [3]}'])
def test_a_file_that_cannot_be_read_is_none(ledger: Ledger, content: bytes) -> None:
    ledger.put(FUSED_KEY, content)
    assert FusedBook(ledger).groups == []


def test_plan_tells_what_trains_together_and_why_others_do_not(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, "fuse: 8")
    assert fusing_lines(plan.runs.values()) == [
        "fusing: 12 runs of 2 kinds train together, up to 8 at a time",
        "fusing: 4 runs train by themselves: loss 'triplet' chooses pairs by their embeddings",
    ]
    assert fusing_lines(plan_of(tmp_path, "fuse: auto").runs.values()) == []


@pytest.mark.parametrize("value", ["1", "0", "-3", "2.5", "all", "true", "[2]"])
def test_values_that_cannot_be(tmp_path: Path, value: str) -> None:
    with pytest.raises(SpecError, match=r"resources.fuse: .*auto, off or a number of runs from 2"):
        plan_of(tmp_path, f"fuse: {value}")


@pytest.mark.parametrize(("value", "read"), [("off", "off"), ("'off'", "off"), ("auto", "auto"), ("16", 16)])
def test_values_that_can(tmp_path: Path, value: str, read: Any) -> None:
    assert {run.resources.fuse for run in plan_of(tmp_path, f"fuse: {value}").runs.values()} == {read}


def test_run_ids_do_not_depend_on_it(tmp_path: Path) -> None:
    assert list(plan_of(tmp_path, "fuse: 8").runs) == list(plan_of(tmp_path, "fuse: off").runs)
