"""Trials of Ray Tune: what each is told, and how they are trained until nothing more is suggested."""

import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from study.costs import CostBook
from study.launch.cluster import demand, slots
from study.launch.gate import Gate
from study.launch.machines import Machines
from study.launch.places import environment, places
from study.launch.signals import StopRequest
from study.launch.summary import LaunchOptions
from study.packing.packing import Packing
from study.plan import Plan, PlannedRun, Resources
from trainables.ledger import Ledger
from trainables.ledger.lease import Lease
from trainables.training.cutoffs import NO_CUTOFFS, Cutoffs

_WORKER_STARTS = 20
"""How often Tune starts a trial again whose worker died. A run that dies without progress is given up long before."""


@dataclass(frozen=True)
class Parts:
    """What every step of a launch needs."""

    ledger: Ledger
    lease: Lease
    options: LaunchOptions
    stop: StopRequest
    machines: Machines
    book: CostBook
    gate: Gate
    packing: Packing


def session_of(plan: Plan, parts: Parts) -> dict[str, Any]:
    """What all runs of a launch are told."""
    return {
        "ledger": parts.ledger.location,
        "study": plan.study,
        **places(plan, parts.options),
        "generation": parts.lease.generation,
        "shard": str(parts.options.shard) if parts.options.shard else None,
        "checkpoint_seconds": parts.options.checkpoint_seconds,
    }


def train(
    searcher: Any, *, name: str, sizes: Collection[Resources], parts: Parts, scratch: Path, inner: Any = None
) -> None:
    """Trains what a searcher suggests, until it has nothing more; a scheduler of Tune may stop runs."""
    from ray import tune

    from study.launch.searcher import GentleScheduler, Silence, Watch
    from trainables.ray_trainable import RunTrainable

    stop, gate = parts.stop, parts.gate
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(max(map(slots, sizes)))
    variables = environment(parts.options, parts.ledger.location)  # through Ray's memory: Tune writes configurations
    trainable = tune.with_parameters(RunTrainable, environment=variables) if variables else RunTrainable
    tuner = tune.Tuner(
        tune.with_resources(trainable, lambda config: tune.PlacementGroupFactory([config["resources"]])),
        tune_config=tune.TuneConfig(
            search_alg=parts.packing.around(searcher, stop=stop),
            scheduler=GentleScheduler(stop, gate=gate, inner=inner),
            num_samples=-1,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name=name,
            storage_path=str(scratch),
            verbose=0,
            callbacks=[Silence()],
            stop=Watch(stop, check=parts.lease.check, gate=gate),
            failure_config=tune.FailureConfig(max_failures=_WORKER_STARTS),
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
        ),
    )
    for error in tuner.fit().errors:
        reason = str(error).strip().splitlines()[-1]
        stop.fail(f"a trial's worker could not work, or died, more than {_WORKER_STARTS} times: {reason}")


def configuration_of(planned: PlannedRun, session: dict[str, Any], *, cutoffs: Cutoffs = NO_CUTOFFS) -> dict[str, Any]:
    """What a trial is told of its run."""
    return {
        "run_id": planned.run_id,
        "sources": planned.sources,
        "run": planned.config.model_dump_json(),
        "cutoffs": list(cutoffs.items()),
        "judge": None,
        "session": session,
        "resources": demand(planned.resources),
    }
