"""One launch: take the lease of a results folder, train what is due on Ray Tune, leave a compact ledger."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from study.costs import CostBook, spent
from study.fusing import Groups
from study.launch.adopt import adopt_siblings
from study.launch.cluster import slots
from study.launch.gate import Gate, told
from study.launch.housekeeping import Housekeeping
from study.launch.machines import Machines
from study.launch.places import Setting, environment, make_ready
from study.launch.progress import LiveView
from study.launch.sharding import refuse_forgetting, refuse_unsharded
from study.launch.signals import StopRequest
from study.launch.summary import LaunchOptions, Summary, summarised
from study.launch.trials import Parts, configuration_of, session_of, train
from study.launch.tuning import Tuning, opened, put_aside, unfinished
from study.packing.packing import Packing
from study.plan import Plan, PlannedRun, due_runs
from study.plan.shards import runs_of
from study.search import Search, SearchHistory, Task
from study.settling import forget_looks
from trainables.errors import LedgerError
from trainables.ledger import Commit, Ledger
from trainables.ledger.lease import Lease
from trainables.ledger.names import KEPT_KEYS
from trainables.ledger.places import Place


@dataclass
class _Work:
    """What a launch has found and done so far.

    Attributes:
        plan: with the cells of all searches that are over.
        history: what the plan was read through.
        before: how the ledger's runs had ended when the launch began, and those copied since.
        adopted: runs copied from sibling studies.
        begun: runs that were due in some round; none is due twice.
    """

    plan: Plan
    history: SearchHistory
    before: dict[str, Commit]
    adopted: int = 0
    begun: set[str] = field(default_factory=set)


def launch(plan: Plan, *, results: Place, spec_text: str, options: LaunchOptions) -> Summary:
    """Searches the settings of tuned methods, then trains every due run of a plan, into the ledger at `results`.

    Raises:
        LedgerError: the folder is of another schema version, cannot be written, or another driver works on it. An
            error of the folder after runs were started is part of the summary.
        ClusterError: Ray does not start, or does not answer.
        ResourceError: a trial asks for more than there is.
        ConfigError: what shards cannot do was asked of one.
        DataError: images or weights that cannot be used.
    """
    if options.shard is not None:
        refuse_unsharded(plan, options)
    ledger, stop, work = Ledger.open(results, create=True), StopRequest(), None
    try:
        with Lease(ledger, shard=options.shard, on_wait=_tell) as lease:
            with Machines(options.address, gpus=_needs_gpus(plan), plugins=plan.spec.plugins) as machines:
                book = CostBook(ledger, budget=plan.spec.budget)
                gate = Gate(book, budget=plan.spec.budget, limit=options.limit)
                variables = environment(options, ledger.location)
                packing = Packing(ledger, expect=book.expect, environment=variables)
                parts = Parts(ledger, lease, options, stop, machines, book, gate, packing)
                work = _begin(plan, parts, spec_text=spec_text)
                if options.stage != "confirm" and options.policy != "only-cache":
                    _search(work, parts)
                if options.stage != "tune":
                    _confirm(work, parts)
            book.save()
            if options.shard is None:
                ledger.compact()
    except LedgerError as error:
        if work is None:
            raise
        stop.fail(str(error))
    own = None if options.shard is None else runs_of(work.plan, options.shard)
    summary = summarised(
        work.plan,
        ledger,
        own=own,
        before=work.before,
        adopted=work.adopted,
        interrupted=stop.interrupted,
        errors=stop.errors,
    )
    summary.out_of_time, summary.enlarged = gate.out_of_time, len(packing.enlarged)
    summary.budget = told(gate.reached, spent(book.costs.ended), plan.spec.budget) if gate.reached else ""
    return summary


def _needs_gpus(plan: Plan) -> bool:
    tuned = (search.cell.resources for search in plan.searches)
    return any(resources.gpus > 0 for resources in (*(run.resources for run in plan.runs.values()), *tuned))


def _tell(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def _begin(plan: Plan, parts: Parts, *, spec_text: str) -> _Work:
    """Looks at what there is, and writes down what is planned."""
    ledger = parts.ledger
    before = ledger.commits()
    plan, history = opened(plan, ledger)
    ledger.put("spec.yaml", spec_text.encode())
    ledger.write_plan(plan.record())
    ledger.sweep()
    parts.book.expect(_all_runs(plan))
    parts.book.save()
    return _Work(plan, history, before)


def _all_runs(plan: Plan) -> Iterator[PlannedRun]:
    yield from plan.runs.values()
    yield from (run for search in plan.searches for candidate in search.candidates for run in candidate.runs)


def _search(work: _Work, parts: Parts) -> None:
    """Trains the settings of tuned methods until every search has chosen one; then the plan has their cells."""
    ledger, options = parts.ledger, parts.options
    plan, history = work.plan, work.history
    if not plan.searches:
        return
    if options.policy == "always" or options.retry_failed:
        put_aside(plan, ledger, policy=options.policy, retry_failed=options.retry_failed, only=options.only)
        plan, history = opened(plan, ledger)
    for search in plan.searches:
        for difference in search.differences():
            _tell(f"warning: {difference}")
    if searches := unfinished(plan, options.only):
        _tune(searches, history, plan=plan, parts=parts)
        plan, _ = opened(plan, ledger)
    work.plan = plan
    ledger.write_plan(plan.record())


def _tune(searches: Sequence[Search], history: SearchHistory, *, plan: Plan, parts: Parts) -> None:
    session = session_of(plan, parts)

    def configuration(task: Task) -> dict[str, Any]:
        parts.book.expect([task.run])
        parts.packing.add([task.run])
        return {**configuration_of(task.run, session, cutoffs=task.cutoffs), "judge": task.judge}

    tuning = Tuning(searches, history, configuration)
    waiting = tuning.board.waiting
    parts.book.expect(waiting)
    if not parts.gate.admits_any(run.run_id for run in waiting):
        return
    scratch = parts.machines.start()
    make_ready(waiting, Setting(parts.ledger, parts.options, scratch, session), tell=_tell)
    sizes = parts.packing.prepare(waiting, session=session)
    headline = f"{plan.study}: {len(searches)} searches, {tuning.board.runs_left} runs to train at most"
    with (
        parts.stop.on_signals(),
        Housekeeping(parts.ledger, note=parts.book.save),
        LiveView(plan, parts.ledger, [], stop=parts.stop, headline=headline) as view,
    ):
        from study.launch.ray_schedulers import scheduler_of
        from study.launch.tune_searcher import TuneSearcher

        tuning.show_on(view)
        searcher = TuneSearcher(tuning, stop=parts.stop, gate=parts.gate)
        train(searcher, name="tune", sizes=sizes, parts=parts, scratch=scratch, inner=scheduler_of(tuning))


def _confirm(work: _Work, parts: Parts) -> None:
    """Trains what is due; where claims decide on more seeds, again until they need none."""
    while not parts.stop.requested:
        due = _due(work, parts)
        parts.book.expect(due)
        if not parts.gate.admits_any(planned.run_id for planned in due):
            return
        _train(due, plan=work.plan, parts=parts)
        if work.plan.settling is None:
            return
        work.plan, _ = opened(work.plan, parts.ledger)
        parts.ledger.write_plan(work.plan.record())


def _due(work: _Work, parts: Parts) -> list[PlannedRun]:
    """Copies what sibling studies have, and finds out what is due. Earlier rows of due runs are put aside."""
    plan, ledger, options = work.plan, parts.ledger, parts.options
    known = ledger.commits()
    own = set(plan.runs) if options.shard is None else runs_of(plan, options.shard)
    work.adopted += adopt_siblings(plan, ledger, own=own, tell=_tell) if options.policy != "always" else 0
    commits = ledger.commits()
    work.before.update((run_id, commit) for run_id, commit in commits.items() if known.get(run_id) != commit)
    due = due_runs(
        plan,
        commits,
        policy=options.policy,
        retry_failed=options.retry_failed,
        only=options.only,
        has_kept=lambda planned: all(ledger.exists(KEPT_KEYS[kind](planned.run_id)) for kind in planned.kept),
    )
    if options.policy == "always" and not work.begun:
        _forget_evidence(plan, ledger, only=options.only)
    due = [planned for planned in due if planned.run_id in own - work.begun]
    work.begun.update(planned.run_id for planned in due)
    again = [planned.run_id for planned in due if planned.run_id in commits]
    if again and options.shard is not None:
        refuse_forgetting(again)
    ledger.forget(*again)
    if options.policy == "always":
        _drop_checkpoints(ledger, due)
    return due


def _forget_evidence(plan: Plan, ledger: Ledger, *, only: Sequence[str]) -> None:
    """Looks, and runs of further seeds, must not decide about runs that are trained again."""
    forget_looks(ledger)
    if plan.settling is not None:
        further = due_runs(replace(plan, runs=plan.settling.spared), {}, policy="always", only=only)
        ledger.forget(*({planned.run_id for planned in further} & ledger.commits().keys()))
        _drop_checkpoints(ledger, further)


def _drop_checkpoints(ledger: Ledger, runs: Sequence[PlannedRun]) -> None:
    for key in [key for planned in runs for key in ledger.list(f"checkpoints/{planned.run_id}/")]:
        ledger.delete(key)


def _train(due: Sequence[PlannedRun], *, plan: Plan, parts: Parts) -> None:
    stop, ledger = parts.stop, parts.ledger
    session = session_of(plan, parts)
    scratch = parts.machines.start()
    make_ready(due, Setting(ledger, parts.options, scratch, session), tell=_tell)
    groups = Groups(ledger).of(due, places=slots, tell=_tell)
    sizes = groups.sizes | parts.packing.prepare(groups.singles, session=session)
    with (
        stop.on_signals(),
        Housekeeping(None if parts.options.shard else ledger, note=parts.book.save),
        LiveView(plan, ledger, due, stop=stop, headline=_headline(plan, due, parts.options)),
    ):
        from study.launch.searcher import PlanSearcher

        configurations = groups.configured([configuration_of(run, session) for run in due])
        searcher = PlanSearcher(configurations, stop=stop, gate=parts.gate)
        train(searcher, name="confirm", sizes=sizes, parts=parts, scratch=scratch)


def _headline(plan: Plan, due: Sequence[PlannedRun], options: LaunchOptions) -> str:
    return f"{plan.study}, shard {options.shard}: {len(due)} runs to train" if options.shard else ""
