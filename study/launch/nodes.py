"""The nodes of a cluster, asked before work starts whether they can do it."""

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from study.launch.cluster import ClusterError, demand
from study.launch.node_check import Answer, Question, answer
from study.plan import PlannedRun, Resources
from trainables.config import REGISTRIES, RunConfig
from trainables.parts import identity
from trainables.provenance import package_versions

_NUMERICAL = ("torch", "torchvision", "numpy", "pillow")
_QUIET_SECONDS = 5.0
_TRIES = 3
"""Of a worker that dies; a node that is gone is known after the first."""


def require_nodes(question: Question, *, sizes: Collection[Resources], tell: Callable[[str], None]) -> None:
    """Asks every node that could train, and waits until each has the data. Nodes that go meanwhile are left out.

    A node that joins later is not asked: its workers look for themselves.

    Args:
        sizes: of the trials.
        tell: gets a line where it takes long, and a warning where numbers may differ.

    Raises:
        ClusterError: which nodes cannot do the work, why, and what helps.
    """
    import ray

    asked = {_ask(node["NodeID"], question): node for node in ray.nodes() if _could_train(node, sizes)}
    _, late = ray.wait(list(asked), num_returns=len(asked), timeout=_QUIET_SECONDS) if asked else ([], [])
    if late:
        tell(f"waiting for {len(late)} of {len(asked)} nodes to get code and data ready")
    answers = [(str(node["NodeManagerAddress"]), _received(reference)) for reference, node in asked.items()]
    named = [(_name(address, reply), reply) for address, reply in answers if reply is not None]
    if problems := _grouped((name, reply.problem) for name, reply in named):
        raise ClusterError("; ".join(problems))
    for difference in _grouped((name, _difference(reply)) for name, reply in named):
        tell(f"warning: {difference}: numbers may differ in their last digits; rows record the versions")


def distinct(due: Sequence[PlannedRun]) -> list[str]:
    """JSON of one run for each combination of parts, data and weights."""
    chosen: dict[str, RunConfig] = {}
    for run in (planned.config for planned in due):
        parts = [getattr(run, section).name for section in REGISTRIES]
        chosen.setdefault(str((parts, identity(run.dataset), run.dataset.decode, run.backbone.weights)), run)
    return [run.model_dump_json() for run in chosen.values()]


def _ask(node_id: str, question: Question) -> Any:
    """Starts a look around on one node, whatever runs there."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    there = NodeAffinitySchedulingStrategy(node_id, soft=False)
    return ray.remote(num_cpus=0, max_retries=_TRIES - 1, scheduling_strategy=there)(answer).remote(question)


def _could_train(node: Mapping[str, Any], sizes: Collection[Resources]) -> bool:
    has = node["Resources"]
    return node["Alive"] and any(all(has.get(key, 0) >= much for key, much in demand(size).items()) for size in sizes)


def _received(reference: Any) -> Answer | None:
    """A node's answer; None where the node is gone."""
    import ray
    from ray.exceptions import NodeDiedError, RayError, RuntimeEnvSetupError, TaskUnschedulableError

    try:
        reply: Answer = ray.get(reference)
        return reply
    except (NodeDiedError, TaskUnschedulableError):
        return None
    except RuntimeEnvSetupError as error:
        return Answer("", "{}", f"the code cannot be brought there: {_last_line(error)}")
    except RayError as error:
        return Answer("", "{}", f"workers do not start there: {_last_line(error)}")


def _last_line(error: Exception) -> str:
    return str(error).strip().splitlines()[-1].strip()


def _name(address: str, reply: Answer) -> str:
    return f"{reply.host} ({address})" if reply.host else address


def _difference(reply: Answer) -> str:
    """In what a node's packages differ from this process's."""
    there, here = json.loads(reply.versions), json.loads(package_versions())
    pairs = [(name, there.get(name, "none"), here.get(name, "none")) for name in _NUMERICAL]
    others = [f"{name} {other} (here {own})" for name, other, own in pairs if _release(other) != _release(own)]
    return f"has {', '.join(others)}" if there and others else ""


def _release(version: str) -> str:
    """Without what a build adds: 2.13.0 of 2.13.0+cpu."""
    return version.partition("+")[0]


def _grouped(messages: Iterable[tuple[str, str]]) -> list[str]:
    """One sentence for each message, with the names of those that say it."""
    names: dict[str, list[str]] = {}
    for name, message in messages:
        if message:
            names.setdefault(message, []).append(name)
    return [f"node{'s' if len(who) > 1 else ''} {', '.join(who)}: {message}" for message, who in names.items()]
