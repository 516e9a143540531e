"""Launches whose runs share a GPU that Ray believes in, and run out of its memory: again with more, and not lost."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from launched import PLUGIN, Here, rows_by_run, spec_text

from study.launch import Summary
from study.launch.cluster import ResourceError
from study.packing import PACKING_KEY, Gpu
from study.packing import packing as packing_module
from study.plan import Plan, Resources, build_plan
from study.spec import load_spec
from trainables.losses import LOSSES

GIB = 2**30
QUARTER = "gpu_memory: 10GiB"


@pytest.fixture
def here(ray_here: None, tmp_path: Path, private_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Here]:
    monkeypatch.setattr(packing_module, "smallest_gpu", lambda: Gpu("Fake", 40 * GIB))
    monkeypatch.setattr(Resources, "device", "cpu")
    before = dict(LOSSES)
    yield Here(tmp_path, private_cache)
    LOSSES.clear()
    LOSSES.update(before)
    sys.modules.pop(PLUGIN.stem, None)


def plan_of(here: Here, method: str, *, seeds: int = 1, resources: str = QUARTER) -> Plan:
    """Runs that get part of a GPU, and train on the CPU."""
    text = spec_text(f"  a: {{{method}}}", seeds=seeds, epochs=3)
    stages = "stages: {tune: {sampler: random, trials: 3, window: 1, seeds: [100]}}" if "tune" in method else ""
    text = f"{text}untrained: false\nresources: {{cpu: 0.5, {resources}}}\n{stages}\n"
    (here.folder / "s.yaml").write_text(text)
    return build_plan(load_spec(here.folder / "s.yaml", plugins=[PLUGIN]), cache=here.cache)


def packing(here: Here) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((here.results / PACKING_KEY).read_text())
    return content


def test_runs_out_of_memory_are_trained_with_a_larger_share(here: Here, capsys: pytest.CaptureFixture[str]) -> None:
    plan = plan_of(here, "loss: greedy")
    summary = here.launch(plan, checkpoint_seconds=0)
    assert summary == Summary(planned=1, complete=1, trained=1, enlarged=1)
    assert "packing: 4 trials per GPU for 1 runs (Fake, 40 GiB)" in capsys.readouterr().err
    assert packing(here)["retried"] == dict.fromkeys(plan.runs, 0.5)
    (row,) = rows_by_run(here.results).values()
    assert (row["status"], row["epochs_trained"], row["error"]) == ("complete", 3, None)
    assert any("continues after epoch 1" in path.read_text() for path in (here.results / "logs").iterdir())


@pytest.mark.slow
def test_the_next_launch_begins_with_the_larger_share(here: Here, capsys: pytest.CaptureFixture[str]) -> None:
    here.launch(plan_of(here, "loss: greedy"))
    more = here.launch(plan_of(here, "loss: greedy", seeds=2), checkpoint_seconds=0)
    assert more == Summary(planned=2, complete=2, trained=1), "it did not have to fail first"
    assert "packing: 2 trials per GPU for 1 runs (Fake, 40 GiB)" in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_that_a_whole_gpu_cannot_hold_fails_after_its_shares_grew(here: Here) -> None:
    plan = plan_of(here, "loss: insatiable")
    assert here.launch(plan) == Summary(planned=1, failed=1, trained=1, enlarged=1)
    assert packing(here)["retried"] == dict.fromkeys(plan.runs, 1.0)
    (row,) = rows_by_run(here.results).values()
    assert "the run had a whole GPU" in row["error"]


@pytest.mark.slow
def test_a_run_that_cannot_be_measured_has_a_gpu_to_itself(here: Here) -> None:
    """The probe runs on Ray, and finds no GPU to measure."""
    plan = plan_of(here, "loss: greedy", seeds=2, resources="gpu: auto")
    assert here.launch(plan) == Summary(planned=2, complete=2, trained=2)
    assert packing(here) == {"version": 1, "needs": {}, "shares": {}, "retried": {}}


@pytest.mark.slow
def test_a_gpu_that_torch_cannot_use_has_no_memory_to_share(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    with pytest.raises(ResourceError, match="torch reads the memory of no GPU"):
        here.launch(plan_of(here, "loss: greedy"))


@pytest.mark.slow
def test_a_search_goes_on_with_larger_shares(here: Here) -> None:
    plan = plan_of(here, "loss: greedy, tune: {loss.scale: [4, 8, 16, 32]}")
    summary = here.launch(plan)
    assert (summary.settings_done, summary.complete, summary.failed, summary.left) == (3, 1, 0, False)
    assert (summary.enlarged, set(packing(here)["retried"].values())) == (1, {0.5})
