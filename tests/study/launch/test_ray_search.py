"""Searches whose runs Ray Tune's own schedulers stop, on Ray and killed: nothing is lost, and what stopped stays so."""

import json
from pathlib import Path

import pytest
from launched import Study, ended, rows_by_run, wait_for
from test_search_stops import SPEC, pruned
from typer.testing import CliRunner

from study.cli.app import app
from trainables.ledger import Ledger

TRIALS, EPOCHS = 14, 9


@pytest.mark.slow
@pytest.mark.parametrize("name", ["asha", "median", "hyperband"])
def test_what_ray_stops_is_pruned_and_stays_so_after_a_kill(
    name: str, study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = SPEC.format(trials=TRIALS, seeds=[100], window=TRIALS, epochs=EPOCHS)
    study.write(text.replace("scheduler: halving", f"scheduler: {{ray: {name}}}").replace("tpe", "random"))
    process = study.start()
    wait_for(lambda: any("pruned" in key for key in study.commits()), "a pruned run", process=process)
    process.kill()
    process.communicate()
    study.kill_all()
    before, orders = study.commits(), orders_of(study.results)
    assert any("pruned" in key for key in before)

    output, errors = ended(study.start(), code=0)
    assert f"Ray Tune's {name} stops runs by when they report" in errors
    assert f"search: {TRIALS} of {TRIALS} settings finished" in output and "1 of 1 runs complete" in output
    assert before.items() <= study.commits().items(), "a run that had ended was trained again"
    assert len({key.partition(".")[0] for key in study.commits()}) == len(study.commits()) == TRIALS + 1
    after = orders_of(study.results)
    assert orders.items() <= after.items(), "a decision was forgotten"

    rows = rows_by_run(study.results)
    stopped = {row["run_id"]: row["epochs_trained"] for row in pruned(list(rows.values()))}
    assert stopped == after, "what is on record and what was trained differ"
    for run_id, epoch in stopped.items():
        assert rows[run_id]["fidelity"] == epoch / EPOCHS < 1 and rows[run_id]["test_map_at_r"] is None
        assert any(
            f"stopped after epoch {epoch}" in log and "Ray Tune's scheduler" in log for log in study.logs(run_id)
        )
    (search,) = Ledger.open(study.results).read_plan()["searches"]
    states = [setting["state"] for setting in search["settings"]]
    assert states.count("pruned") == len(stopped) and states[search["chosen"]] == "complete"

    monkeypatch.chdir(study.folder)
    assert f"({len(stopped)} pruned)" in CliRunner().invoke(app, ["status", "s"]).output
    output = " ".join(CliRunner().invoke(app, ["table", "s"]).output.split())
    assert f"poor ones stopped early by Ray Tune's {name}, which depends on timing" in output, output


def orders_of(results: Path) -> dict[str, int]:
    """Run id -> the epoch after which Ray decided to stop it."""
    paths = results.glob("search/*/*.stop.json")
    return {path.name.partition(".")[0]: json.loads(path.read_text())["epoch"] for path in paths}
