"""What a node is asked before work starts, what it says, and how that is told."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from study.launch import nodes
from study.launch.cluster import ClusterError, _mismatch
from study.launch.node_check import Answer, Question, answer
from study.plan import Resources, build_plan
from study.spec import load_spec
from trainables.ledger import Ledger
from trainables.ledger.lease import DRIVER_KEY, Lease, read_driver
from trainables.provenance import host_name, package_versions

HERE: dict[str, Any] = {"cache": None, "plugins": [], "data": None}


def question(results: Path, **changes: Any) -> Question:
    driver = read_driver(Ledger.open(results, create=True), DRIVER_KEY)
    known = {"code": "", "lease": DRIVER_KEY, "token": driver.token if driver else "", "session": HERE, "runs": []}
    return Question(**{"results": str(results), "patience": 0.0, **known, **changes})


def test_a_node_with_everything_lacks_nothing(tmp_path: Path) -> None:
    ledger = Ledger.open(tmp_path / "r", create=True)
    with Lease(ledger):
        before = sorted(path.name for path in (tmp_path / "r").rglob("*"))
        assert answer(question(tmp_path / "r")) == Answer(host_name(), package_versions(), "")
        assert sorted(path.name for path in (tmp_path / "r").rglob("*")) == before  # nothing is left behind


def test_a_folder_of_the_same_name_is_not_the_results_folder(tmp_path: Path) -> None:
    ledger, stale = Ledger.open(tmp_path / "r", create=True), Ledger.open(tmp_path / "local", create=True)
    with Lease(stale):
        pass
    with Lease(ledger):
        asked = question(tmp_path / "r")
        other = answer(Question(**{**vars(asked), "results": str(tmp_path / "local")}))
        assert other.problem.startswith(f"the results folder {tmp_path}/local is another one there; put results where")
        absent = answer(Question(**{**vars(asked), "results": str(tmp_path / "none")}))
        assert "is not there" in absent.problem


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_a_node_cannot_write_is_told(tmp_path: Path) -> None:
    ledger = Ledger.open(tmp_path / "r", create=True)
    with Lease(ledger):
        (tmp_path / "r").chmod(0o555)
        assert "cannot be written by the user there" in answer(question(tmp_path / "r")).problem
        (tmp_path / "r").chmod(0o755)


def test_another_copy_of_the_code_is_told(tmp_path: Path) -> None:
    problem = answer(question(tmp_path / "r", code="0" * 16)).problem
    assert problem.startswith("workers import another copy of dml-study, from ") and "PYTHONPATH" in problem


def test_an_error_of_any_kind_is_an_answer(tmp_path: Path) -> None:
    Ledger.open(tmp_path / "r", create=True)
    with Lease(Ledger.open(tmp_path / "r")):
        assert answer(question(tmp_path / "r", runs=["{}}"])).problem.startswith("ValidationError: ")


def test_secrets_are_not_shown(tmp_path: Path) -> None:
    assert "hush" not in repr(question(tmp_path / "r", environment={"AWS_SECRET_ACCESS_KEY": "hush"}))


def test_each_combination_of_parts_and_data_is_asked_for_once(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(
        "study: s\nextends: fast_cpu\nmethods: {a: {loss: norm_softmax}, b: {loss: cosface}}\n"
        "compare: {dataset: [glyphs], loss.scale: [8, 16]}\nreplicates: {seeds: 3}\n"
    )
    plan = build_plan(load_spec(tmp_path / "s.yaml"), cache=tmp_path / "cache")
    asked = [json.loads(text) for text in nodes.distinct(list(plan.runs.values()))]
    found = sorted((run["strategy"]["name"], run["loss"]["name"]) for run in asked)
    assert found == [("plain", "cosface"), ("plain", "norm_softmax"), ("untrained", "norm_softmax")]


class Replies:
    """Stands for Ray: three nodes, of which one is too small for a trial and is not asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *replies: Answer | None) -> None:
        import ray

        sizes = [4.0] * len(replies) + [1.0]
        listed = [
            {"NodeID": str(number), "NodeManagerAddress": f"10.0.0.{number}", "Alive": True, "Resources": {"CPU": cpus}}
            for number, cpus in enumerate(sizes)
        ]
        monkeypatch.setattr(ray, "nodes", lambda: listed)
        monkeypatch.setattr(ray, "wait", lambda asked, **options: (asked, []))
        monkeypatch.setattr(nodes, "_ask", lambda node_id, question: int(node_id))
        monkeypatch.setattr(nodes, "_received", lambda number: replies[number])


def versions(**changes: str) -> str:
    return json.dumps({**json.loads(package_versions()), **changes})


def told_by(tmp_path: Path) -> list[str]:
    """What the user is told of the nodes."""
    told: list[str] = []
    nodes.require_nodes(question(tmp_path / "r"), sizes={Resources(cpu=4)}, tell=told.append)
    return told


def test_nodes_that_lack_the_same_are_named_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lacks = [Answer("a", versions(), "no birds"), Answer("b", versions(), ""), Answer("c", versions(), "no birds")]
    Replies(monkeypatch, *lacks)
    with pytest.raises(ClusterError) as caught:
        told_by(tmp_path)
    assert str(caught.value) == "nodes a (10.0.0.0), c (10.0.0.2): no birds"


def test_other_versions_are_a_warning_and_nodes_that_left_are_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = json.loads(package_versions())["torch"].partition("+")[0]
    replies = [Answer("a", versions(torch="2.6.0"), ""), None, Answer("c", versions(torch=f"{own}+cu130"), "")]
    Replies(monkeypatch, *replies)
    (told,) = told_by(tmp_path)
    here = json.loads(package_versions())["torch"]
    assert told.startswith(f"warning: node a (10.0.0.0): has torch 2.6.0 (here {here})")


def test_versions_that_ray_refuses_are_told_in_one_sentence() -> None:
    report = (
        "Version mismatch: The cluster was started with:\n    Ray: 2.54.0\n    Python: 3.12.1\n"
        "This process on 10.0.0.1:6379 was started with:\n    Ray: 2.60.0\n    Python: 3.11.7\n"
    )
    assert _mismatch("h:1", report).startswith(
        "--address h:1: the cluster has Ray 2.54.0 on Python 3.12.1, and this command Ray 2.60.0 on Python 3.11.7;"
    )
