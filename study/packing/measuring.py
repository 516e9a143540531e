"""Asks the GPUs of a running Ray: how much memory they have, and how much of it a run needs."""

from collections.abc import Mapping
from typing import Any

from study.packing.shares import Gpu
from study.plan import PlannedRun

_LOOK_SECONDS = 60.0
_LOOK_SHARE = 0.01
_RESERVE = 1.1
"""A probe of a few steps may miss a peak by a little."""


def smallest_gpu() -> Gpu:
    """The GPU with the least memory among those of all nodes: a share of it is enough on the others too.

    A GPU of which nothing is known, where there is none that torch can use, or all of them are busy.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy as On

    from trainables.training.gpu_memory import describe_gpu

    look = ray.remote(num_cpus=0, num_gpus=_LOOK_SHARE, max_calls=1)(describe_gpu)
    nodes = [node["NodeID"] for node in ray.nodes() if node["Alive"] and node["Resources"].get("GPU")]
    asked = [look.options(scheduling_strategy=On(node, soft=False)).remote() for node in nodes]
    answered, late = ray.wait(asked, num_returns=len(asked), timeout=_LOOK_SECONDS) if asked else ([], [])
    for each in late:
        ray.cancel(each)
    found = [Gpu(*answer) for answer in map(_result, answered) if answer is not None]
    return min((gpu for gpu in found if gpu.memory), key=lambda gpu: gpu.memory, default=Gpu("", 0))


def measured_needs(
    runs: Mapping[str, PlannedRun], *, session: Mapping[str, Any], environment: Mapping[str, str]
) -> dict[str, float]:
    """Bytes of GPU memory that runs need, by their key; those that cannot be measured are left out.

    Each is tried in a process of its own with a GPU of its own, as many at a time as there are GPUs.

    Args:
        session: what runs of the launch are told.
        environment: variables of the driver that workers of a cluster lack.
    """
    import ray

    from trainables.training.probe import needed_memory

    probe = ray.remote(num_gpus=1, max_calls=1, max_retries=0)(needed_memory)
    asked = {
        key: probe.options(num_cpus=run.resources.cpu).remote(
            run.config.model_dump_json(), session=session, environment=environment
        )
        for key, run in runs.items()
    }
    found = {key: _result(task) for key, task in asked.items()}
    return {key: _RESERVE * need for key, need in found.items() if need}


def _result(task: Any) -> Any:
    """None where it failed, for whatever reason: the run itself will tell it, on a GPU of its own."""
    import ray

    try:
        return ray.get(task)
    except ray.exceptions.RayError:
        return None
