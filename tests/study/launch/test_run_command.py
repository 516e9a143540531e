"""`dml-study run` as a user meets it: what it prints, what it returns, what it leaves behind."""

import errno
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from launched import Study, ended, results_of, spec_text, train_here, wait_for

from trainables.training.session import MAX_WORKER_DEATHS

PLAIN = "  plain: {loss: norm_softmax}\n"
SLOW = spec_text("  slow: {loss: slow}\n", seeds=2, epochs=8)


def test_a_clean_run_prints_its_runs_and_nothing_else(study: Study) -> None:
    study.write(spec_text(PLAIN))
    output, errors = study.run()
    head, *lines = errors.splitlines()
    assert head == "s: 2 runs to train, 0 done before"
    assert len(lines) == 2
    assert all(line.startswith(f"[{number}/2] ") and ": complete" in line for number, line in enumerate(lines, 1))
    assert output.startswith("2 of 2 runs complete, 2 trained now -> results/s\n")
    assert len(output.splitlines()) == 2
    assert list(study.temporary.glob("dml-study-*")) == []
    wait_for(lambda: not study.processes(), "end of Ray's processes")
    again, silence = study.run()
    assert again.startswith("2 of 2 runs complete, 0 trained now -> results/s\n")
    assert silence == ""


@pytest.mark.slow
def test_impossible_resources_are_bad_input(study: Study) -> None:
    """The refusal is tested without Ray's processes, too; here the command tells it in one line and leaves nothing."""
    study.write(spec_text(PLAIN))
    output, errors = study.run("--set", "resources.gpu=1000", code=2)
    assert output == ""
    assert errors.startswith("error: resources: a trial asks for 1 CPUs and 1000 GPUs, and the largest node has ")
    assert len(errors.splitlines()) == 1
    assert study.commits() == {}
    assert study.live() == []
    assert list(study.temporary.glob("dml-study-*")) == []
    wait_for(lambda: not study.processes(), "end of Ray's processes")


def test_broken_and_deadly_runs_do_not_stop_the_others(study: Study) -> None:
    study.write(spec_text(PLAIN + "  broken: {loss: broken}\n  deadly: {loss: deadly}\n"))
    output, errors = study.run(code=1)
    assert "2 of 4 runs complete, 4 trained now, 2 failed -> results/s" in output
    assert "Traceback" not in errors
    assert "ray" not in errors.lower()
    (broken,), (deadly,), (plain,) = (study.rows(method) for method in ("broken", "deadly", "plain"))
    assert [row["status"] for row in (broken, deadly, plain)] == ["failed", "failed", "complete"]
    assert "RuntimeError: no such luck" in broken["error"]
    assert "odd_losses.py" in broken["error"]
    assert broken["attempts"] == 1
    assert f"its worker process died {MAX_WORKER_DEATHS} times without an error of its own" in deadly["error"]
    assert deadly["attempts"] == MAX_WORKER_DEATHS + 1

    status = study.command("status", "results/s").communicate()[0]
    assert "RuntimeError: no such luck" in status
    assert "its worker process died" in status

    before = study.commits()
    again, silence = study.run(code=1)
    assert "2 of 4 runs complete, 0 trained now, 2 failed" in again
    assert silence == ""
    assert study.commits() == before


@pytest.fixture
def small_disk(study: Study) -> Iterator[Path]:
    """A results folder on a disk of its own, of a megabyte."""
    folder = study.folder / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("only root can mount a small disk to fill it")
    yield folder
    study.kill_all()
    subprocess.run(["umount", str(folder)], check=True)


def fill(disk: Path, *, process: "subprocess.Popen[str]") -> None:
    """Writes until nothing fits, and again whatever becomes free, until the process ends."""
    with (disk / "filler").open("wb", buffering=0) as filler:
        while process.poll() is None:
            try:
                filler.write(b"x" * 4096)
            except OSError as error:
                assert error.errno == errno.ENOSPC
                time.sleep(0.01)


@pytest.mark.slow
def test_a_full_disk_ends_the_run_with_the_remedy_and_loses_nothing(
    study: Study, small_disk: Path, private_cache: Path
) -> None:
    """What a session does where a write finds no space is tested there; here a real disk meets the whole command."""
    study.write(SLOW)
    study.results = small_disk / "s"
    options = ("--results", str(study.results), "--checkpoint-seconds", "0")
    process = study.start(*options, slow=0.3)
    wait_for(study.checkpoints, "checkpoint", process=process)
    fill(small_disk, process=process)
    output, errors = ended(process, code=1)
    assert f"error: cannot write {study.results}/" in errors
    assert "No space left on device; the disk or quota is full: free some space" in errors
    assert "Traceback" not in errors
    assert "goes on where this stopped" in output
    before = study.commits()
    assert len(before) < 4

    (small_disk / "filler").unlink()
    study.run(*options)
    assert before.items() <= study.commits().items()
    assert results_of(study.results) == train_here(study.folder, SLOW, cache=private_cache)
