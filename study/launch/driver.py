"""One launch: take the lease of a results folder, train what is due on Ray Tune, leave a compact ledger."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from study.launch.adopt import adopt_siblings
from study.launch.cluster import ray_session, refuse_impossible, slots
from study.launch.housekeeping import Housekeeping
from study.launch.prepare import prepare_data
from study.launch.progress import LiveView
from study.launch.signals import StopRequest
from study.plan import Plan, PlannedRun, due_runs
from trainables.ledger import Commit, Ledger
from trainables.ledger.lease import Lease

_STORAGE_RETRIES = 5
"""How often Tune starts a trial again that could not write; a run's own errors never get here."""


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
        interrupted: a signal ended the launch early.
        errors: messages of trials that could not write their results.
    """

    planned: int
    complete: int = 0
    failed: int = 0
    missing: int = 0
    trained: int = 0
    adopted: int = 0
    interrupted: bool = False
    errors: list[str] = field(default_factory=list)


def launch(plan: Plan, *, results: Path, spec_text: str, options: LaunchOptions) -> Summary:
    """Trains every due run of a plan into the ledger at `results`.

    Raises:
        LedgerError: the folder is of another schema version, cannot be written, or another driver works on it.
        ResourceError: a trial asks for more than there is.
    """
    ledger = Ledger.open(results, create=True)
    with Lease(ledger, on_wait=_tell) as lease:
        ledger.put("spec.yaml", spec_text.encode())
        ledger.write_plan(plan.record())
        ledger.sweep()
        adopted = adopt_siblings(plan, ledger) if options.policy != "always" else 0
        commits = ledger.commits()
        due = due_runs(plan, commits, policy=options.policy, retry_failed=options.retry_failed, only=options.only)
        if options.policy == "always":
            ledger.forget(*(planned.run_id for planned in due))
        stop, errors = StopRequest(), list[str]()
        if due:
            prepare_data(due, cache=options.cache)
            errors = _train(due, plan=plan, ledger=ledger, lease=lease, options=options, stop=stop)
        ledger.compact()
    return _summarise(plan, ledger, before=commits, adopted=adopted, interrupted=stop.requested, errors=errors)


def _tell(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def _train(
    due: Sequence[PlannedRun],
    *,
    plan: Plan,
    ledger: Ledger,
    lease: Lease,
    options: LaunchOptions,
    stop: StopRequest,
) -> list[str]:
    session = {
        "ledger": ledger.location,
        "study": plan.study,
        "cache": str(options.cache),
        "generation": lease.generation,
        "checkpoint_seconds": options.checkpoint_seconds,
        "plugins": [str(path) for path in plan.spec.plugins],
    }
    gpus = any(planned.resources.gpu > 0 for planned in due)
    with ray_session(options.address, gpus=gpus):
        refuse_impossible({planned.resources for planned in due})
        with stop.on_signals(), Housekeeping(ledger), LiveView(plan, ledger, due, stop=stop):
            return _fit(due, session=session, lease=lease, stop=stop)


def _fit(due: Sequence[PlannedRun], *, session: dict[str, Any], lease: Lease, stop: StopRequest) -> list[str]:
    import os
    import shutil
    import tempfile

    from ray import tune

    from study.launch.searcher import PlanSearcher, StopOnRequest
    from trainables.ray_trainable import RunTrainable

    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(max(slots(planned.resources) for planned in due))
    scratch = tempfile.mkdtemp(prefix="dml-study-tune-")
    try:
        tuner = tune.Tuner(
            tune.with_resources(RunTrainable, lambda config: config["resources"]),
            tune_config=tune.TuneConfig(
                search_alg=PlanSearcher(list(_configurations(due, session)), stop=stop),
                num_samples=-1,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                name="runs",
                storage_path=scratch,
                verbose=0,
                stop=StopOnRequest(stop, check=lease.check),
                failure_config=tune.FailureConfig(max_failures=_STORAGE_RETRIES),
            ),
        )
        grid = tuner.fit()
        return sorted({str(error) for error in grid.errors})
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _configurations(due: Sequence[PlannedRun], session: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for planned in due:
        yield {
            "run": planned.config.model_dump_json(),
            "session": session,
            "resources": {"cpu": planned.resources.cpu, "gpu": planned.resources.gpu},
        }


def _summarise(
    plan: Plan, ledger: Ledger, *, before: dict[str, Commit], adopted: int, interrupted: bool, errors: list[str]
) -> Summary:
    commits = ledger.commits()
    states = [commits[run_id].status if run_id in commits else "missing" for run_id in plan.runs]
    return Summary(
        planned=len(states),
        complete=states.count("complete"),
        failed=states.count("failed"),
        missing=states.count("missing"),
        trained=sum(before.get(run_id) != commit for run_id, commit in commits.items()),
        adopted=adopted,
        interrupted=interrupted,
        errors=errors,
    )
