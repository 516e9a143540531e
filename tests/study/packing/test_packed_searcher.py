"""What Tune is told where runs are out of memory: the same run again with more, and the searcher of its last end."""

from pathlib import Path
from typing import Any

import pytest
from ray.tune.search import Searcher

from study.launch.searcher import PlanSearcher
from study.launch.signals import StopRequest
from study.packing import Gpu
from study.packing import packing as module
from study.packing.packing import Packing
from study.packing.searcher import PackedSearcher
from study.plan import build_plan
from study.spec import load_spec
from trainables.errors import LedgerError
from trainables.ledger import Ledger

OUT = {"status": "out_of_memory"}
DONE = {"status": "complete"}


class Inner(PlanSearcher):
    """Remembers the ends that it was told of."""

    def __init__(self, configurations: list[dict[str, Any]], stop: StopRequest) -> None:
        super().__init__(configurations, stop=stop)
        self.told: list[tuple[str, Any]] = []

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        self.told.append((trial_id, result))
        super().on_trial_complete(trial_id, result, error)


class Launch:
    """Two runs on a quarter of a GPU, and one without."""

    def __init__(self, folder: Path) -> None:
        (folder / "s.yaml").write_text(
            "study: s\nmethods: {a: {}, b: {loss: proxy_anchor}, c: {loss: proxy_nca, resources: {gpu: 0}}}\n"
            "untrained: false\nresources: {gpu: 0.25}\n"
        )
        plan = build_plan(load_spec(folder / "s.yaml"), resolve_data=False)
        self.stop, self.ledger = StopRequest(), Ledger.open(folder / "results", create=True)
        packing = Packing(self.ledger)
        packing.prepare(list(plan.runs.values()), session={})
        self.a, self.b, self.c = plan.runs
        configurations = [{"run_id": run_id, "sources": (), "resources": {"CPU": 1.0}} for run_id in plan.runs]
        self.inner = Inner(configurations, self.stop)
        self.searcher: PackedSearcher = packing.around(self.inner, stop=self.stop)

    def suggest(self, trial_id: str) -> Any:
        """The run and its resources, in short."""
        found = self.searcher.suggest(trial_id)
        return (found["run_id"], found["resources"]) if isinstance(found, dict) else found


@pytest.fixture
def launch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Launch:
    monkeypatch.setattr(module, "smallest_gpu", lambda: Gpu("Fake", 2**35))
    return Launch(tmp_path)


def test_a_run_out_of_memory_comes_again_with_more_until_it_ends(launch: Launch) -> None:
    quarter, half, whole = ({"CPU": 1.0, "GPU": share} for share in (0.25, 0.5, 1.0))
    assert [launch.suggest(trial) for trial in "123"] == [
        (launch.a, quarter),
        (launch.b, quarter),
        (launch.c, {"CPU": 1.0}),
    ]
    launch.searcher.on_trial_complete("1", OUT)
    assert launch.suggest("4") == (launch.a, half)
    launch.searcher.on_trial_complete("4", OUT)
    launch.searcher.on_trial_complete("2", OUT)
    assert [launch.suggest("5"), launch.suggest("6")] == [(launch.a, whole), (launch.b, half)]
    assert launch.inner.told == []
    launch.searcher.on_trial_complete("5", DONE)
    launch.searcher.on_trial_complete("6", DONE)
    launch.searcher.on_trial_complete("3", DONE)
    assert launch.inner.told == [("1", DONE), ("2", DONE), ("3", DONE)]
    assert launch.suggest("7") == Searcher.FINISHED


def test_the_end_is_not_told_while_a_run_may_come_back(launch: Launch) -> None:
    for trial in "123":
        launch.suggest(trial)
    assert launch.suggest("4") is None
    launch.searcher.on_trial_complete("1", DONE)
    launch.searcher.on_trial_complete("2", OUT)
    assert launch.suggest("4") == (launch.b, {"CPU": 1.0, "GPU": 0.5})
    launch.searcher.on_trial_complete("4", DONE)
    assert launch.suggest("5") == Searcher.FINISHED, "the one without a GPU needs no second start"


def test_no_run_comes_back_once_the_launch_is_to_end(launch: Launch) -> None:
    for trial in "123":
        launch.suggest(trial)
    launch.searcher.on_trial_complete("1", OUT)
    launch.stop.request()
    assert launch.suggest("4") == Searcher.FINISHED


def test_results_that_cannot_be_written_end_the_launch(launch: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(key: str, content: bytes) -> None:
        raise LedgerError("the disk is full")

    launch.suggest("1")
    monkeypatch.setattr(launch.ledger, "put", full)
    launch.searcher.on_trial_complete("1", OUT)
    assert launch.stop.errors == ["the disk is full"]


def test_what_a_run_took_sizes_those_of_its_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "smallest_gpu", lambda: Gpu("Fake", 2**35))
    monkeypatch.setattr(module, "measured_needs", lambda runs, **files: {})
    (tmp_path / "s.yaml").write_text(
        "study: s\nmethods: {a: {}}\nuntrained: false\nresources: {gpu: auto}\nreplicates: {seeds: 2}\n"
    )
    plan = build_plan(load_spec(tmp_path / "s.yaml"), resolve_data=False)
    packing, stop = Packing(Ledger.open(tmp_path / "results", create=True)), StopRequest()
    packing.prepare(list(plan.runs.values()), session={})
    configurations = [{"run_id": run_id, "sources": (), "resources": {}} for run_id in plan.runs]
    searcher = packing.around(PlanSearcher(configurations, stop=stop), stop=stop)
    assert searcher.suggest("1")["resources"]["GPU"] == 1
    searcher.on_trial_complete("1", {**DONE, "gpu_memory": 2**33})
    assert searcher.suggest("2")["resources"]["GPU"] == 0.25
