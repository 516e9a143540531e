"""Hashing, decoding: a bar where it takes long, silence where it does not."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from study import bars
from study.bars import DataBars

Call = Callable[..., Any]

SPEC = """study: birds
extends: fast_cpu
datasets:
  birds: {name: image_folder, path: birds, image_size: 8}
methods:
  norm-softmax: {loss: norm_softmax}
compare: {dataset: [birds]}
settings: {training.epochs: 1, training.batch_size: 4}
"""


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(bars, "time", clock)
    return clock


def screen(*, terminal: bool) -> tuple[Console, io.StringIO]:
    file = io.StringIO()
    return Console(file=file, force_terminal=terminal, width=80, color_system=None), file


@pytest.mark.parametrize("terminal", [True, False])
def test_quick_work_is_silent(terminal: bool, clock: Clock) -> None:
    console, file = screen(terminal=terminal)
    with DataBars(console=console) as progress:
        for done in range(1, 101):
            clock.now += 0.009
            progress(done, 100, "hashing birds")
        clock.now += 5
        progress(100, 100, "hashing birds")
    assert file.getvalue() == ""


def test_long_work_is_one_line_without_a_terminal(clock: Clock) -> None:
    console, file = screen(terminal=False)
    with DataBars(console=console) as progress:
        for done in range(1, 5):
            clock.now += 0.6
            progress(done, 5, "hashing [birds]")
        progress(1, 9, "hashing fish")
    assert file.getvalue() == "hashing [birds] (5) ...\n"


def test_long_work_is_one_bar_that_vanishes_on_a_terminal(clock: Clock) -> None:
    console, file = screen(terminal=True)
    with DataBars(console=console) as progress:
        for done in range(1, 5):
            clock.now += 0.6
            progress(done, 5, "hashing birds")
        (task,) = progress._bars.tasks if progress._bars else ()
        assert (task.description, task.completed, task.total) == ("hashing birds", 4, 5)
    assert "hashing birds" in file.getvalue()
    assert file.getvalue().endswith("\x1b[1A\x1b[2K")  # the cursor is back where it was, the line is empty


def test_planning_new_data_reports_every_file(
    dml_study: Call, write_spec: Call, write_images: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing when the data are known: hashes are remembered."""
    told: list[tuple[int, int, str]] = []
    monkeypatch.setattr(DataBars, "__call__", lambda self, *step: told.append(step))
    monkeypatch.setenv("DML_STUDY_CACHE", str(tmp_path / "cache"))
    write_spec(SPEC, "birds.yaml")
    write_images(train=["a", "b", "c", "d"], test=["e", "f"])
    assert dml_study("plan", "birds.yaml").code == 0
    assert told == [(number, 18, "hashing birds") for number in range(1, 19)]
    told.clear()
    assert dml_study("plan", "birds.yaml").code == 0
    assert told == []
