"""Which runs may start: time limits and budgets."""

import time
from typing import Any

import pytest
from cost_tools import Book, cost, work

from study.costs import Spent
from study.launch import gate as gates
from study.launch.gate import Gate, TimeLimit, told
from study.launch.signals import StopRequest
from study.spec.model import Budget


class Clock:
    """Both clocks of a gate, moved by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.at = 1000.0
        monkeypatch.setattr(gates.time, "monotonic", lambda: self.at)

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def gate(book: Book, clock: Clock, *, seconds: float | None = None, **budget: Any) -> Gate:
    limit = None if seconds is None else TimeLimit(seconds, began=clock.at)
    return Gate(book, budget=Budget(**budget), limit=limit, now=clock)  # type: ignore[arg-type]


def test_without_limits_everything_starts_and_nothing_is_read(clock: Clock) -> None:
    book = Book()
    free = gate(book, clock)
    assert free.admits("a")
    free.ended("a")
    assert (book.refreshed, free.refused, free.out_of_time, free.reached) == (0, set(), False, None)


def test_a_run_that_would_reach_no_checkpoint_does_not_start(clock: Clock) -> None:
    """Its first epoch is saved after 20 + 40 s, an epoch under way needs 1.25 x 40 s, the end 10 s."""
    book = Book(cost("old", seconds=400.0, startup=20.0), new=work(), unknown=work("other"))
    limited = gate(book, clock, seconds=1000.0)
    clock.at += 1000.0 - 60.0 - 60.0 - 1.0
    assert limited.admits("new")
    limited.ended("new")
    clock.at += 2.0
    assert not limited.admits("new")
    assert (limited.refused, limited.out_of_time) == ({"new"}, True)
    assert limited.admits("unknown"), "nothing is known of it"


def test_a_pending_run_is_looked_at_again_when_it_could_start(clock: Clock) -> None:
    limited = gate(Book(cost("old"), new=work()), clock, seconds=600.0)
    assert limited.admits("new")
    clock.at += 580.0
    assert not limited.has_time("new")
    assert limited.refused == {"new"}


def test_running_trials_are_asked_to_end_when_the_longest_needs_the_rest(clock: Clock) -> None:
    """An epoch of 100 s, a quarter more, and 10 s for the end: 135 s before the limit."""
    limited, stop = gate(Book(cost("old", seconds=1000.0), new=work()), clock, seconds=1000.0), StopRequest()
    assert limited.admits("new")
    clock.at += 1000.0 - 135.0 - 1.0
    limited.tick(stop)
    assert not stop.requested
    clock.at += 2.0
    limited.tick(stop)
    assert (stop.requested, stop.interrupted, limited.out_of_time) == (True, False, True)
    clock.at += 124.0
    assert not stop.overdue
    clock.at += 2.0
    assert stop.overdue, "Ray has ten seconds to end"


def test_a_short_limit_leaves_half_of_it_for_training(clock: Clock) -> None:
    limited, stop = gate(Book(), clock, seconds=40.0), StopRequest()
    clock.at += 19.0
    assert limited.admits("a")
    limited.tick(stop)
    assert not stop.requested
    clock.at += 1.5
    limited.tick(stop)
    assert stop.requested
    assert not limited.admits("b")


def test_a_look_ahead_starts_nothing(clock: Clock) -> None:
    book = Book(cost("old", seconds=4000.0), long=work(), short=work("other"))
    limited = gate(book, clock, seconds=500.0)
    assert limited.admits_any(["long", "short"])
    assert limited.refused == set()
    assert not limited.admits_any(["long"])
    assert limited.refused == {"long"}


def test_gpu_hours_count_what_ended_what_runs_and_what_asks(clock: Clock) -> None:
    hour = 3600.0
    book = Book(cost("old", seconds=hour, ended=500.0, gpus=2.0), a=work(), b=work(), c=work())
    limited = gate(book, clock, gpu_hours=4.0)
    assert limited.admits("a") and limited.admits("b")
    assert not limited.admits("c")
    assert (limited.reached, limited.refused, limited.out_of_time) == ("gpu_hours", {"c"}, False)
    limited.ended("a")
    assert book.refreshed == 1


def test_unknown_runs_start_until_the_budget_is_spent(clock: Clock) -> None:
    book = Book(a=work(), b=work())
    limited = gate(book, clock, gpu_hours=1.0)
    assert limited.admits("a")
    clock.at += 3601.0
    assert not limited.admits("b")
    assert limited.reached == "gpu_hours"


def test_wall_hours_run_once_for_runs_side_by_side(clock: Clock) -> None:
    book = Book(cost("old", seconds=3600.0, ended=100.0), a=work("new"), b=work("new"), c=work("new"))
    limited = gate(book, clock, wall_hours=2.0)
    assert limited.admits("a") and limited.admits("b")
    clock.at += 3500.0
    assert limited.admits("c")
    clock.at += 200.0
    assert not limited.admits("d")
    assert limited.reached == "wall_hours"


def test_a_number_of_runs(clock: Clock) -> None:
    book = Book(cost("old"), cost("copied", copied=True))
    limited = gate(book, clock, runs=2)
    assert limited.admits("a")
    assert limited.admits("old"), "a run that is trained again is not one more"
    assert not limited.admits("b")
    assert limited.reached == "runs"


def test_what_a_reached_budget_says(clock: Clock) -> None:
    assert told("gpu_hours", Spent(gpu_hours=12.04), Budget(gpu_hours=12, runs=500)) == (
        "the budget is reached: 12 of 12 GPU-hours, 0 of 500 runs spent; raise `budget.gpu_hours` in the spec, or say "
        "`--set budget.gpu_hours=24`"
    )
    assert time.monotonic() == clock.at
