"""`dml-study` with its results on an S3-compatible server: the commands as a user types them."""

import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from launched import PLUGIN, Study, ended, results_of, spec_text, train_here, wait_for

import analysis
from trainables.ledger import Ledger

METHODS = "  plain: {loss: norm_softmax}\n  slow: {loss: slow}\n"
pytestmark = pytest.mark.slow


def test_a_study_lives_on_an_object_store(study: Study, server: Any, tmp_path: Path) -> None:
    """Write errors, latency and a killed driver on the way; then every command that reads."""
    place, text = "s3://bucket/results/s", spec_text(METHODS, epochs=4)
    study.write(text)
    (tmp_path / "plain").mkdir()
    whole = train_here(tmp_path / "plain", text, cache=tmp_path / "cache")
    draws = random.Random(0)
    server.latency = 0.01
    server.fault = lambda method, key: draws.choice(["503", "lost", "reset"]) if draws.random() < 0.05 else None

    first = study.start("--results", place, "--checkpoint-seconds", "0", slow=0.1)
    wait_for(lambda: server.keys("bucket/results/s/checkpoints/"), "a checkpoint", process=first)
    time.sleep(0.3)
    study.kill_all()
    assert first.wait() == -signal.SIGKILL
    server.fault = lambda method, key: None
    output, _ = study.run("--results", place, "--checkpoint-seconds", "0")
    assert f"-> {place}\n" in output and f"`dml-study table {place}`" in output
    assert results_of(place) == whole
    assert Ledger.open(place).list("checkpoints/") == [] == Ledger.open(place).list("live/")

    run_id = next(row["run_id"] for row in whole["runs"] if row["loss"] == "norm_softmax")
    for command, shown in (
        (("status", place), f"s in {place}: {len(whole['runs'])} runs"),
        (("status", "--results", place), "done"),
        (("show", run_id[:8], "--results", place), f"in {place}"),
        (("logs", run_id[:8], "--results", place), "attempt "),
        (("table", place), "MAP@R"),
        (("plot", place, "--kind", "curves"), "wrote plots/s/curves-map_at_r"),
        (("plan", "s.yaml", "--results", place, "--plugin", str(PLUGIN)), f"{place}: "),
        (("doctor", "--results", "s3://bucket/results"), "can be written, read and deleted from"),
    ):
        printed, _ = ended(study.command(*command), code=0)
        assert shown in printed, f"{command}: {printed}"
    assert len(analysis.load(place).runs) == len(whole["runs"])
    assert not (study.folder / "results").exists()
