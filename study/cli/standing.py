"""How far a study is, from names, its plan and what runs said last. Loads neither torch, ray nor pandas."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from study.costs import Costs
    from trainables.ledger import Ledger
    from trainables.ledger.lease import Driver


@dataclass(frozen=True)
class Standing:
    """What `status` knows of one study, and a report says: run ids with their titles, final states and last words."""

    ledger: "Ledger"
    plan: Mapping[str, Any]
    titles: Mapping[str, str]
    states: Mapping[str, str]
    searches: Sequence[str]
    drivers: "Sequence[Driver]"
    costs: "Costs"

    def running(self) -> dict[str, str]:
        """The newest attempt of each run that the present driver started; older ones were left behind by a kill."""
        from study.wording import epoch_text

        unfinished = self.titles.keys() - self.states.keys()
        return {live["run_id"]: epoch_text(live) for live in self._lives if live["run_id"] in unfinished}

    @cached_property
    def _lives(self) -> list[dict[str, Any]]:
        """What attempts that the present drivers started said last."""
        generations = {driver.generation for driver in self.drivers}
        return [live for live in self.ledger.live() if int(live["attempt"].partition("_")[0]) in generations]

    def blocked(self) -> set[str]:
        """Runs that need one that failed, or one that is blocked itself."""
        from study.dependencies import blocked, run_sources

        return blocked(run_sources(self.plan["cells"]), self.states)

    def failed(self) -> dict[str, str]:
        from study.wording import failure_reason

        failed = [run_id for run_id, state in self.states.items() if state == "failed"]
        tried = {run_id: self.costs.attempts(run_id) for run_id in failed}
        times = {run_id: f" (after {count} attempts)" if count > 1 else "" for run_id, count in tried.items()}
        return {run_id: failure_reason(self.ledger, run_id) + times[run_id] for run_id in failed}

    def time_left(self, blocked: Collection[str]) -> str:
        """By the timings of runs that ended, and how many are at work."""
        from study.cli.views.costs import time_left

        waiting = {run_id: 0.0 for run_id in self.titles if run_id not in self.states and run_id not in blocked}
        lives = [live for live in self._lives if live["run_id"] in waiting]
        waiting |= {live["run_id"]: min(1.0, live["epoch"] / live["epochs"]) for live in lives if live.get("epochs")}
        return time_left(self.costs, waiting, at_once=len({live["run_id"] for live in lives}))

    def counts(self) -> dict[str, int]:
        """Runs of the study by what became of them."""
        ended, running, blocked = Counter(self.states.values()), len(self.running()), len(self.blocked())
        return {
            "done": ended["complete"],
            "running": running,
            "failed": ended["failed"],
            "waiting": len(self.titles) - len(self.states) - running - blocked,
            "blocked": blocked,
            "pruned": ended["pruned"],
        }

    def lines(self) -> list[str]:
        """How far searches and claims are, what was spent, and what is left."""
        from study.cli.views.costs import cost_lines
        from study.cli.views.packing import retried_lines

        costs = [*cost_lines(self.costs), self.time_left(self.blocked()), *retried_lines(self.ledger)]
        return [*self.searches, *_settling(self.plan), *filter(None, costs)]

    def at_work_or_next(self) -> str:
        """Which processes drive the study, else the command that goes on."""
        names = [f"process {driver.pid} on {driver.host}" for driver in self.drivers]
        if len(names) > 1:
            return f"{len(names)} shards are at work: {', '.join(names[:4])}{', ...' if len(names) > 4 else ''}"
        return f"{names[0]} is at work (start {self.drivers[0].generation})" if names else self._next()

    def _next(self) -> str:
        from study.cli.views.settling import due_for_a_look
        from study.wording import results_argument, spec_argument

        show = f"next: `dml-study table {results_argument(self.ledger.location)}`"
        if not self.plan.get("spec"):  # published numbers: nothing to train
            return show
        run, counts = f"dml-study run {spec_argument(self.plan['spec'])}", self.counts()
        searching = any(map(_open, self.plan.get("searches", ())))
        if counts["waiting"] or searching or due_for_a_look(self.plan, self.states):
            return f"nothing is at work; `{run}` goes on"
        if counts["failed"]:
            return f"next: `{run} --retry-failed`"
        return show


def standing(ledger: "Ledger") -> Standing:
    """Reads names, plan and live records; no rows."""
    from study.costs import read_costs
    from study.wording import run_titles
    from trainables.ledger.lease import holders

    plan, commits = ledger.read_plan(), ledger.commits()
    titles = run_titles(plan["cells"])
    searches: list[str] = []
    if plan.get("searches"):
        from study.cli.views.searches import search_states
        from study.wording import search_titles

        titles = {**search_titles(plan["searches"], ledger), **titles}
        searches = search_states(plan["searches"], ledger, commits)
    states = {run_id: commit.status for run_id, commit in commits.items() if run_id in titles}
    return Standing(ledger, plan, titles, states, searches, holders(ledger), read_costs(ledger))


def _settling(plan: Mapping[str, Any]) -> list[str]:
    from study.cli.views.settling import settling_lines

    return list(settling_lines(plan["settling"])) if "settling" in plan else []


def _open(search: Mapping[str, Any]) -> bool:
    """Whether settings of a search are still to be trained."""
    ended = sum(setting["state"] != "unfinished" for setting in search["settings"])
    return search["chosen"] is None and ended < int(search["trials"])
