"""One launch: take the lease of a results folder, train what is due on Ray Tune, leave a compact ledger."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from study.launch.adopt import adopt_siblings
from study.launch.cluster import demand, ray_session, refuse_impossible, slots
from study.launch.housekeeping import Housekeeping
from study.launch.prepare import prepare_data
from study.launch.progress import LiveView
from study.launch.scratch import scratch_folder
from study.launch.signals import StopRequest
from study.plan import Plan, PlannedRun, blocked_runs, due_runs
from trainables.errors import LedgerError
from trainables.ledger import Commit, Ledger
from trainables.ledger.lease import Lease
from trainables.ledger.names import KEPT_KEYS

_WORKER_STARTS = 20
"""How often Tune starts a trial again whose worker died. A run that dies without progress is given up long before."""


@dataclass(frozen=True)
class LaunchOptions:
    """How to launch; nothing here changes a run's numbers.

    Attributes:
        cache: folder of decoded images and features.
        address: of a Ray cluster; None starts a private local instance.
        checkpoint_seconds: least time between two checkpoints of a run.
        retry_failed: failed runs are due again.
        policy: only-missing, always or only-cache.
        only: dotted key -> value; other runs are left alone.
    """

    cache: Path
    address: str | None = None
    checkpoint_seconds: float = 30.0
    retry_failed: bool = False
    policy: str = "only-missing"
    only: Sequence[str] = ()


@dataclass
class Summary:
    """What a launch did and what is left.

    Attributes:
        planned: runs of the plan; complete, failed, missing: how many of them are in which state now.
        trained: runs that this launch committed.
        adopted: runs copied from sibling studies.
        blocked: how many of the missing ones wait for a run that failed.
        interrupted: a signal ended the launch early.
        errors: what ended the launch early: a disk that is full, a lost lease, workers that do not start.
    """

    planned: int
    complete: int = 0
    failed: int = 0
    missing: int = 0
    blocked: int = 0
    trained: int = 0
    adopted: int = 0
    interrupted: bool = False
    errors: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Work:
    """What a launch has to do, and what it found.

    Attributes:
        due: runs to train, in plan order.
        before: how the ledger's runs had ended when the launch began.
        adopted: runs copied from sibling studies.
    """

    due: Sequence[PlannedRun]
    before: Mapping[str, Commit]
    adopted: int


def launch(plan: Plan, *, results: Path, spec_text: str, options: LaunchOptions) -> Summary:
    """Trains every due run of a plan into the ledger at `results`.

    Raises:
        LedgerError: the folder is of another schema version, cannot be written, or another driver works on it. An
            error of the folder after runs were started is part of the summary.
        ClusterError: Ray does not start, or does not answer.
        ResourceError: a trial asks for more than there is.
        DataError: images or weights that cannot be used.
    """
    ledger, stop, work = Ledger.open(results, create=True), StopRequest(), None
    try:
        with Lease(ledger, on_wait=_tell) as lease:
            work = _begin(plan, ledger, spec_text=spec_text, options=options)
            if work.due:
                _train(work.due, plan=plan, ledger=ledger, lease=lease, options=options, stop=stop)
            ledger.compact()
    except LedgerError as error:
        if work is None:
            raise
        stop.fail(str(error))
    return _summarise(plan, ledger, work=work, stop=stop)


def _tell(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def _begin(plan: Plan, ledger: Ledger, *, spec_text: str, options: LaunchOptions) -> _Work:
    """Writes down what is planned, and finds out what is due. Earlier rows of due runs are put aside."""
    ledger.put("spec.yaml", spec_text.encode())
    ledger.write_plan(plan.record())
    ledger.sweep()
    adopted = adopt_siblings(plan, ledger, tell=_tell) if options.policy != "always" else 0
    commits = ledger.commits()
    due = due_runs(
        plan,
        commits,
        policy=options.policy,
        retry_failed=options.retry_failed,
        only=options.only,
        has_kept=lambda planned: all(ledger.exists(KEPT_KEYS[kind](planned.run_id)) for kind in planned.kept),
    )
    ledger.forget(*(planned.run_id for planned in due if planned.run_id in commits))
    if options.policy == "always":
        _drop_checkpoints(ledger, due)
    return _Work(due, commits, adopted)


def _drop_checkpoints(ledger: Ledger, runs: Sequence[PlannedRun]) -> None:
    for key in [key for planned in runs for key in ledger.list(f"checkpoints/{planned.run_id}/")]:
        ledger.delete(key)


def _train(
    due: Sequence[PlannedRun],
    *,
    plan: Plan,
    ledger: Ledger,
    lease: Lease,
    options: LaunchOptions,
    stop: StopRequest,
) -> None:
    session = {
        "ledger": ledger.location,
        "study": plan.study,
        "cache": str(options.cache),
        "generation": lease.generation,
        "checkpoint_seconds": options.checkpoint_seconds,
        "plugins": [str(path) for path in plan.spec.plugins],
    }
    gpus = any(planned.resources.gpu > 0 for planned in due)
    with scratch_folder() as scratch, ray_session(options.address, folder=scratch, gpus=gpus):
        refuse_impossible({planned.resources for planned in due})
        prepare_data(due, cache=options.cache)
        with stop.on_signals(), Housekeeping(ledger), LiveView(plan, ledger, due, stop=stop):
            _fit(due, session=session, check=lease.check, stop=stop, scratch=scratch)


def _fit(
    due: Sequence[PlannedRun],
    *,
    session: dict[str, Any],
    check: Callable[[], None],
    stop: StopRequest,
    scratch: Path,
) -> None:
    from ray import tune

    from study.launch.searcher import GentleScheduler, PlanSearcher, Silence, Watch
    from trainables.ray_trainable import RunTrainable

    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(max(slots(planned.resources) for planned in due))
    tuner = tune.Tuner(
        tune.with_resources(RunTrainable, lambda config: tune.PlacementGroupFactory([config["resources"]])),
        tune_config=tune.TuneConfig(
            search_alg=PlanSearcher(list(_configurations(due, session)), stop=stop),
            scheduler=GentleScheduler(stop),
            num_samples=-1,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=str(scratch),
            verbose=0,
            callbacks=[Silence()],
            stop=Watch(stop, check=check),
            failure_config=tune.FailureConfig(max_failures=_WORKER_STARTS),
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
        ),
    )
    for error in tuner.fit().errors:
        reason = str(error).strip().splitlines()[-1]
        stop.fail(f"a trial's worker could not work, or died, more than {_WORKER_STARTS} times: {reason}")


def _configurations(due: Sequence[PlannedRun], session: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for planned in due:
        yield {
            "run_id": planned.run_id,
            "sources": planned.sources,
            "run": planned.config.model_dump_json(),
            "session": session,
            "resources": demand(planned.resources),
        }


def _summarise(plan: Plan, ledger: Ledger, *, work: _Work, stop: StopRequest) -> Summary:
    commits = ledger.commits()
    states = [commits[run_id].status if run_id in commits else "missing" for run_id in plan.runs]
    return Summary(
        planned=len(states),
        complete=states.count("complete"),
        failed=states.count("failed"),
        missing=states.count("missing"),
        blocked=len(blocked_runs(plan, commits)),
        trained=sum(work.before.get(run_id) != commit for run_id, commit in commits.items()),
        adopted=work.adopted,
        interrupted=stop.interrupted,
        errors=stop.errors,
    )
