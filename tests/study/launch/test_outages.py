"""The storage goes away while a study runs, or takes no more writes: what is measured stays, and the study goes on."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from launched import Study, ended, results_of, spec_text, train_here, wait_for

from trainables.ledger import Ledger
from trainables.ledger.patience import VARIABLE

SPEC = spec_text("  plain: {loss: norm_softmax}\n  slow: {loss: slow}\n", seeds=3, epochs=6)
AWAY_SECONDS = 12.0
OPTIONS = ("--checkpoint-seconds", "0")
Results = dict[str, list[dict[str, Any]]]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Results:
    folder, cache = tmp_path_factory.mktemp("undisturbed"), tmp_path_factory.getbasetemp() / "cache"
    return train_here(folder, SPEC, cache=cache)


@pytest.fixture
def study(study: Study) -> Study:
    study.write(SPEC)
    return study


def assert_calm(output: str, errors: str) -> None:
    assert "Traceback" not in output + errors
    assert "ray" not in errors.lower()


def test_a_folder_that_is_away_for_a_while_is_waited_for(study: Study, undisturbed: Results) -> None:
    process = study.start(*OPTIONS, slow=0.2)
    wait_for(study.checkpoints, "checkpoint", process=process)
    aside = study.results.with_name("aside")
    study.results.rename(aside)
    time.sleep(AWAY_SECONDS)
    assert process.poll() is None and not study.results.exists()
    aside.rename(study.results)
    output, errors = ended(process, code=0)
    assert_calm(output, errors)
    assert f"waiting up to 300 s for {study.results}, nothing is lost: it has no schema.json" in errors
    assert f"{study.results} answers again" in errors
    assert results_of(study.results) == undisturbed
    assert {row["attempts"] for row in Ledger.open(study.results).read("runs").to_pylist()} == {1}


def test_a_folder_that_stays_away_ends_the_study_and_loses_nothing(study: Study, undisturbed: Results) -> None:
    process = study.start(*OPTIONS, slow=0.2, **{VARIABLE: "2"})
    wait_for(study.checkpoints, "checkpoint", process=process)
    before, aside = study.commits(), study.results.with_name("aside")
    study.results.rename(aside)
    output, errors = ended(process, code=1)
    assert_calm(output, errors)
    assert f"results folder {study.results} is gone: it has no schema.json" in errors
    assert "bring it back, then run the same command again" in errors
    assert not study.results.exists()
    aside.rename(study.results)
    study.run(*OPTIONS)
    assert before.items() <= study.commits().items()
    assert results_of(study.results) == undisturbed


def test_a_server_that_is_stopped_for_a_while_is_waited_for(study: Study, server: Any, undisturbed: Results) -> None:
    place = "s3://bucket/results/s"
    process = study.start("--results", place, *OPTIONS, slow=0.2)
    wait_for(lambda: server.keys("bucket/results/s/checkpoints/"), "checkpoint", process=process)
    server.stop()
    time.sleep(60)
    assert process.poll() is None
    server.start()
    output, errors = ended(process, code=0)
    assert_calm(output, errors)
    assert f"waiting up to 300 s for {place}, nothing is lost: " in errors
    assert f"{place} answers again" in errors
    assert results_of(place) == undisturbed


@pytest.fixture
def closed(study: Study) -> Iterator[Callable[[bool], None]]:
    """Takes the right to write to the results away, from root too, and gives it back."""

    def close(shut: bool) -> None:
        if os.geteuid() == 0:
            attribute = ["chattr", "-R", "+i" if shut else "-i", str(study.results)]
            if subprocess.run(attribute, capture_output=True, check=False).returncode != 0:
                pytest.skip("nothing here keeps root from writing")
        else:
            for path in [study.results, *(path for path in study.results.rglob("*") if path.is_dir())]:
                path.chmod(0o555 if shut else 0o755)

    yield close
    close(False)


def test_permission_that_is_taken_away_is_told_and_nothing_is_lost(
    study: Study, closed: Callable[[bool], None], undisturbed: Results
) -> None:
    process = study.start(*OPTIONS, slow=0.2)
    wait_for(study.checkpoints, "checkpoint", process=process)
    closed(True)
    before = study.commits()
    output, errors = ended(process, code=1)
    assert_calm(output, errors)
    assert f"error: cannot write {study.results}/" in errors
    assert "permission is missing: change the folder's owner or mode, then run the same command again" in errors
    _, errors = study.run(*OPTIONS, code=2)
    assert "permission is missing" in errors and len(errors.splitlines()) == 1
    closed(False)
    study.run(*OPTIONS)
    assert before.items() <= study.commits().items()
    assert results_of(Path(study.results)) == undisturbed
