"""Launches whose runs share a GPU that Ray believes in, and run out of its memory: again with more, and not lost."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from launched import Here, rows_by_run, spec_text

from study.launch import Summary
from study.packing import PACKING_KEY
from study.plan import Plan, Resources, build_plan
from study.spec import load_spec
from trainables.losses import LOSSES

PLUGIN = Path(__file__).with_name("greedy_losses.py")


@pytest.fixture
def here(ray_here: None, tmp_path: Path, private_cache: Path) -> Iterator[Here]:
    before = dict(LOSSES)
    yield Here(tmp_path, private_cache)
    LOSSES.clear()
    LOSSES.update(before)


def plan_of(here: Here, loss: str, *, seeds: int, gpu: float = 0.25) -> Plan:
    """Runs that are told to take part of a GPU, and that train on the CPU."""
    text = spec_text(f"  a: {{loss: {loss}}}", seeds=seeds, epochs=3)
    (here.folder / "s.yaml").write_text(f"{text}untrained: false\n")
    plan = build_plan(load_spec(here.folder / "s.yaml", plugins=[PLUGIN]), cache=here.cache)
    runs = {
        run_id: replace(run, resources=Resources(cpu=0.5, gpu=gpu)) for run_id, run in plan.runs.items()
    }
    return replace(plan, runs=runs)


def packing(here: Here) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((here.results / PACKING_KEY).read_text())
    return content


def test_runs_out_of_memory_are_trained_with_a_larger_share_which_is_remembered(here: Here) -> None:
    plan = plan_of(here, "greedy", seeds=3)
    summary = here.launch(plan, checkpoint_seconds=0)
    assert summary == Summary(planned=3, complete=3, trained=3, enlarged=3)
    assert packing(here)["retried"] == dict.fromkeys(plan.runs, 0.5)
    rows = rows_by_run(here.results)
    assert {(row["status"], row["epochs_trained"], row["error"]) for row in rows.values()} == {("complete", 3, None)}
    logs = [path.read_text() for path in (here.results / "logs").iterdir()]
    assert any("continues after epoch 1" in log for log in logs), "the first one, that had trained an epoch"
    more = here.launch(plan_of(here, "greedy", seeds=5), checkpoint_seconds=0)
    assert more == Summary(planned=5, complete=5, trained=2), "none of the two had to fail first"
