"""What `run` shows while it trains: a quiet table on a terminal, lines elsewhere."""

import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from study.launch.progress import LiveView
from study.launch.signals import StopRequest
from study.launch.snapshot import Snapshot, live_table
from study.plan import Plan, build_plan
from study.spec import load_spec
from study.wording import format_seconds, run_titles
from trainables.ledger import Ledger

Call = Callable[..., Any]


@pytest.fixture
def plan(write_spec: Call, tmp_path: Path, private_cache: Path) -> Plan:
    write_spec()
    return build_plan(load_spec(tmp_path / "tiny.yaml"), cache=private_cache)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.open(tmp_path / "results", create=True)


@pytest.fixture(autouse=True)
def no_polling(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The tests look themselves."""
    monkeypatch.setattr(LiveView, "again", lambda self: None)
    yield


def commit(ledger: Ledger, run_id: str, status: str = "complete") -> None:
    attempt = ledger.new_attempt(run_id, generation=0)
    ledger.put(f"logs/{run_id}.{attempt}.log", b"trainables.errors.TrainingError: the loss [x] became nan\n")
    ledger.commit({"run_id": run_id, "attempt": attempt, "status": status})


def view(plan: Plan, ledger: Ledger, *, terminal: bool, width: int = 80) -> tuple[LiveView, io.StringIO]:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=terminal, width=width, color_system=None)
    return LiveView(plan, ledger, list(plan.runs.values()), stop=StopRequest(), console=console), screen


def test_a_line_for_every_run_without_a_terminal(plan: Plan, ledger: Ledger) -> None:
    live, screen = view(plan, ledger, terminal=False)
    first, second, *_ = plan.runs
    with live:
        live._look()
        assert screen.getvalue() == "tiny: 8 runs to train, 0 done before\n"
        ledger.new_attempt(first, generation=0)
        live._look()
        commit(ledger, first)
        live._look()
        live._look()
        commit(ledger, second, "failed")
    lines = screen.getvalue().splitlines()[1:]
    assert re.fullmatch(re.escape(f"[1/8] {first[:8]} untrained, seed 0: complete (") + r"\d+ s\)", lines[0])
    assert lines[1] == f"[2/8] {second[:8]} untrained, seed 1: failed: TrainingError: the loss [x] became nan"
    assert len(lines) == 2
    assert "\x1b" not in screen.getvalue()


def test_what_was_there_before_is_not_told(plan: Plan, ledger: Ledger) -> None:
    """A failed run that is tried again is told when its second attempt ends; a dead attempt is not running."""
    first, second, *_ = plan.runs
    commit(ledger, first, "failed")
    dead = ledger.new_attempt(second, generation=0)
    ledger.update_live(second, dead, {"epoch": 1, "epochs": 2})
    live, screen = view(plan, ledger, terminal=False)
    with live:
        assert live._snapshot().finished == {} and live._snapshot().running == []
        commit(ledger, first)
    assert f"[1/8] {first[:8]} untrained, seed 0: complete" in screen.getvalue()


def test_a_terminal_shows_running_runs_and_keeps_only_failures(plan: Plan, ledger: Ledger) -> None:
    live, screen = view(plan, ledger, terminal=True)
    first, second, third, *_ = plan.runs
    with live:
        attempt = ledger.new_attempt(third, generation=0)
        ledger.update_live(third, attempt, {"epoch": 1, "epochs": 2, "val_map_at_r": 0.25})
        commit(ledger, first)
        commit(ledger, second, "failed")
        live._look()
    shown = screen.getvalue()
    assert "2/8 done, 1 running, 1 failed" in shown
    assert f"{third[:8]} norm-softmax, seed 0 1/2   25.00 %" in shown
    assert f"{second[:8]} untrained, seed 1: failed: TrainingError" in shown
    assert f"{first[:8]} untrained" not in shown
    assert "\x1b[2J" not in shown and "\x1b[H" not in shown  # never clears the screen


def record(run_id: str, **fields: Any) -> dict[str, Any]:
    return {"run_id": run_id, "attempt": "0001_01", **fields}


def text_of(snapshot: Snapshot, titles: dict[str, str], width: int) -> list[str]:
    screen = io.StringIO()
    console = Console(file=screen, width=width, color_system=None)
    console.print(live_table(snapshot, titles, metric="map_at_r", width=width))
    return screen.getvalue().splitlines()


@pytest.mark.parametrize("width", [50, 80, 200])
def test_only_titles_give_way(width: int) -> None:
    ids = [f"{index:016x}" for index in range(20)]
    titles = dict.fromkeys(ids, "norm-softmax + Proxy Synthesis, ratio 0.5, mixup alpha 0.4, seed 0")
    running = [record(run_id, epoch=19, epochs=100, val_map_at_r=0.5) for run_id in ids]
    lines = text_of(Snapshot(dict.fromkeys(ids, 100.0), {}, running, 60.0, False), titles, width)
    assert len(lines) == 15 and len(lines[0]) <= width
    assert max(map(len, lines[1:])) <= width - len("^C")  # an echo that began a new line would never be erased
    rows = [line for line in lines if "19/100" in line]
    assert len(rows) == 12 and all(row.rstrip().endswith("50.00 %") and row.startswith("00000000 ") for row in rows)
    assert all(("seed 0" in row) == (width == 200) for row in rows)
    assert "... and 8 more" in lines[-1]


def test_time_left_counts_epochs() -> None:
    work = {"untrained": 0.5, "a": 10.0, "b": 10.0}
    starting = Snapshot(work, {}, [], 0.0, False)
    assert starting.summary() == "0/3 done, 0 running, starting"
    first = Snapshot(work, {"untrained": "complete"}, [record("a", epoch=1, epochs=10)], 3.0, False)
    assert first.summary() == "1/3 done, 1 running, estimating the time left"
    half = Snapshot(work, {"untrained": "complete"}, [record("a", epoch=5, epochs=10)], 11.0, False)
    assert half.summary() == "1/3 done, 1 running, about 30 s left"
    stopping = Snapshot(work, {"a": "failed"}, [], 11.0, True)
    assert stopping.summary() == "1/3 done, 0 running, 1 failed, stopping"
    stopped = Snapshot(work, {"a": "pruned"}, [], 11.0, True)
    assert stopped.summary() == "1/3 done, 0 running, 1 pruned, stopping"


def test_titles_name_what_differs() -> None:
    def cell(method: str, fold: int = 0, **axes: Any) -> dict[str, Any]:
        keyed = {key.replace("__", "."): value for key, value in axes.items()}
        return {"method": method, "axes": keyed, "replicates": [{"seed": 3, "fold": fold, "run_id": f"{method}{axes}"}]}

    one = [cell("a", dataset="glyphs"), cell("b", dataset="glyphs", synthesis__ratio=0.5)]
    assert list(run_titles(one).values()) == ["a, seed 3", "b, seed 3"]
    more = [cell("a", dataset="glyphs"), cell("b", 1, dataset="birds", synthesis__mixup_alpha=0.5)]
    more.append(cell("b", 1, dataset="birds", synthesis__mixup_alpha=1.0))
    assert list(run_titles(more).values()) == [
        "a, dataset glyphs, seed 3, fold 0",
        "b, dataset birds, mixup alpha 0.5, seed 3, fold 1",
        "b, dataset birds, mixup alpha 1.0, seed 3, fold 1",
    ]


def test_seconds() -> None:
    assert [format_seconds(value) for value in (3.2, 89, 90, 5399, 5400)] == ["3 s", "89 s", "2 min", "90 min", "1.5 h"]
