"""Ray, started quietly on this machine or joined at an address, and what it can give a trial."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from study.plan import Resources
from trainables.errors import DmlStudyError

_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",  # Tune's own state is never read again
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
_OBJECT_STORE_BYTES = 200 * 2**20
"""Runs share their data through memory-mapped files, so the object store stays almost empty."""


class ResourceError(DmlStudyError):
    """A trial asks for more than the machine or cluster can ever give."""


@contextmanager
def ray_session(address: str | None, *, gpus: bool) -> Iterator[None]:
    """Ray for the length of a launch: a private local instance, or the cluster at `address`."""
    for key, value in _QUIET.items():
        os.environ.setdefault(key, value)
    import ray

    folder = None
    try:
        if address is None:
            os.environ.setdefault("RAY_AUTH_MODE", "disabled")  # a private instance on the loopback interface
            folder = tempfile.mkdtemp(prefix="dml-study-", dir=_short_folder())
            ray.init(
                address="local",
                include_dashboard=False,
                log_to_driver=False,
                logging_level="error",
                num_cpus=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
                num_gpus=None if gpus else 0,
                object_store_memory=_OBJECT_STORE_BYTES,
                _temp_dir=folder,
            )
        else:
            ray.init(address=address, log_to_driver=False, logging_level="error")
        yield
    finally:
        ray.shutdown()
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def _short_folder() -> str | None:
    """Ray's sockets need a path of at most 107 bytes, which a user's TMPDIR may exceed."""
    return None if len(tempfile.gettempdir()) < 40 else str(Path("/tmp"))


def refuse_impossible(needed: set[Resources]) -> None:
    """Stops before a trial that would wait for ever.

    Raises:
        ResourceError: names the resource, what is asked for and what the largest node has.
    """
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    for resources in needed:
        demand = {"CPU": resources.cpu, "GPU": resources.gpu}
        if any(all(node.get(key, 0.0) >= amount for key, amount in demand.items()) for node in nodes):
            continue
        largest = {key: max((node.get(key, 0.0) for node in nodes), default=0.0) for key in demand}
        raise ResourceError(
            f"resources: a trial asks for {resources.cpu:g} CPUs and {resources.gpu:g} GPUs, and the largest node has "
            f"{largest['CPU']:g} CPUs and {largest['GPU']:g} GPUs; lower `resources` in the spec or use another cluster"
        )


def slots(resources: Resources) -> int:
    """How many trials of this size the whole cluster runs at once."""
    import ray

    total = ray.cluster_resources()
    fits = [
        total.get(key, 0.0) / amount for key, amount in (("CPU", resources.cpu), ("GPU", resources.gpu)) if amount > 0
    ]
    return max(1, int(min(fits, default=1)))
