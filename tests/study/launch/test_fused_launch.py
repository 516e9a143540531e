"""Launches whose runs train together: one trial for several runs, each with its own rows; killed, they go on."""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from launched import PLUGIN, Here, Study, ended, results_of, rows_by_run, spec_text, wait_for

from study.fusing import FusedBook
from study.launch import Summary
from study.plan import Plan, build_plan
from study.spec import load_spec
from trainables.fused.group import GroupSession, Member
from trainables.ledger import Ledger
from trainables.losses import LOSSES
from trainables.training.session import SessionOptions

METHODS = """
  slow: {loss: slow}
  slow + PS: {loss: slow, synthesis: proxy_synthesis, baseline: slow}
"""
TOGETHER = "untrained: false\nresources: {cpu: 1, fuse: 8}\n"
RUNS = 6


def spec(*, methods: str = METHODS, epochs: int = 3) -> str:
    text = spec_text(methods, compare="synthesis.mixup_alpha: [0.4, 1.0]", seeds=2, epochs=epochs)
    return text.replace("width: 8}", "width: 8, trainable: false}") + TOGETHER


@pytest.fixture
def losses() -> Any:
    before = dict(LOSSES)
    sys.modules.pop(PLUGIN.stem, None)
    yield
    LOSSES.clear()
    LOSSES.update(before)
    sys.modules.pop(PLUGIN.stem, None)


def plan_of(folder: Path, text: str, cache: Path) -> Plan:
    (folder / "s.yaml").write_text(text)
    return build_plan(load_spec(folder / "s.yaml", plugins=[PLUGIN]), cache=cache)


def test_each_run_of_a_group_has_its_own_rows(
    ray_here: None, losses: None, tmp_path: Path, private_cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here = Here(tmp_path, private_cache)
    plan = plan_of(tmp_path, spec(methods=METHODS + "  triplet: {loss: triplet}\n"), private_cache)
    assert here.launch(plan) == Summary(planned=8, complete=8, trained=8)
    assert "fusing: 6 runs train together, in 2 groups" in capsys.readouterr().err
    rows = rows_by_run(here.results)
    fused = {run_id: dict(row["extra"]).get("fused", 1.0) for run_id, row in rows.items()}
    groups = [group.runs for group in FusedBook(Ledger.open(here.results)).groups]
    assert sorted(map(len, groups)) == [2, 4]
    assert fused == {
        run_id: float(next((len(group) for group in groups if run_id in group), 1)) for run_id in plan.runs
    }
    assert len({row["final_train_loss"] for row in rows.values()}) == 8
    assert here.launch(plan) == Summary(planned=8, complete=8), "nothing is due"


def trained_here(plan: Plan, study: Study, folder: Path, cache: Path) -> dict[str, list[dict[str, Any]]]:
    """The groups of a study, trained without Ray and undisturbed."""
    ledger = Ledger.open(folder, create=True)
    options = SessionOptions(study="s", cache=cache)
    for group in FusedBook(Ledger.open(study.results)).groups:
        runs = [plan.runs[run_id].config for run_id in group.runs]
        members = {slot: Member(run, ledger=ledger, options=options) for slot, run in enumerate(runs)}
        session = GroupSession(members, size=len(runs))
        while not session.done:
            session.step()
    return results_of(folder)


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["worker", "driver"])
def test_a_group_that_is_killed_goes_on_to_the_same_bits(
    study: Study, losses: None, tmp_path: Path, private_cache: Path, victim: str
) -> None:
    text = spec(epochs=12)
    study.write(text)
    process = study.start("--checkpoint-seconds", "0", slow=0.1)
    wait_for(lambda: len({path.parent for path in study.checkpoints()}) >= 2, "checkpoints", process=process)
    if victim == "worker":
        os.kill(study.live()[0]["pid"], signal.SIGKILL)
        ended(process, code=0)
    else:
        process.kill()
        process.communicate()
        study.kill_all()
        groups = FusedBook(Ledger.open(study.results)).groups
        study.run()
        assert FusedBook(Ledger.open(study.results)).groups == groups
    plan = plan_of(tmp_path, text, private_cache)
    assert any("continues after epoch" in log for run_id in plan.runs for log in study.logs(run_id))
    assert len(study.commits()) == RUNS
    assert results_of(study.results) == trained_here(plan, study, tmp_path / "undisturbed", private_cache)
