"""Ray, started quietly on this machine or joined at an address, and what it can give a trial."""

import os
import re
import secrets
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, chdir, contextmanager
from pathlib import Path
from typing import Any

from study.launch.head_watch import HeadWatch
from study.launch.shipping import staged_code
from study.plan import Resources
from trainables.errors import DmlStudyError

_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",  # Tune's own state is never read again
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_OVERRIDE_JOB_RUNTIME_ENV": "1",  # under `ray job submit`: what both ask for is taken as we ask for it
}
_GCS_PATIENCE_SECONDS = "15"
"""Where a signal ended all of Ray, its driver would wait a minute for it."""
_CONNECT_SECONDS = 10.0
_CONTAINER_LIMITS = Path("/sys/fs/cgroup/cpu.max")
_THIS_MACHINE = ("localhost", "127.0.0.1")
_OBJECT_STORE_BYTES = 200 * 2**20
"""Runs share their data through memory-mapped files, so the object store stays almost empty."""


class ClusterError(DmlStudyError):
    """Ray cannot be started here or joined there."""


class ResourceError(DmlStudyError):
    """A trial asks for more than the machine or cluster can ever give."""


@contextmanager
def ray_session(address: str | None, *, folder: Path, gpus: bool, plugins: Sequence[Path] = ()) -> Iterator[None]:
    """Ray for the length of a launch: a private local instance, or the cluster at `address`, which gets our code.

    Where Ray runs in this process already, it is used as it is and left running.

    Args:
        folder: where a private instance writes; its path is short.
        gpus: whether a private instance looks for GPUs.
        plugins: files of `--plugin`, for a cluster.

    Raises:
        ClusterError: Ray does not start, or nothing answers at the address.
    """
    _set_defaults(_QUIET)
    if address is None and "ray" not in sys.modules:  # it reads these when it is imported
        _set_defaults(_private())
    import ray

    if ray.is_initialized():
        yield
        return
    watch = ExitStack()
    try:
        if address is None:
            _start(folder, gpus=gpus)
        else:
            _join(address, folder=folder, plugins=plugins)
            watch.enter_context(HeadWatch(ray.get_runtime_context().gcs_address))
        yield
    finally:
        ray.shutdown()  # waits for a head that is gone
        watch.close()


def _private() -> dict[str, str]:
    """Ray listens on all interfaces, and whoever may speak to it runs code as this user: a secret keeps others out."""
    return {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_gcs_rpc_server_reconnect_timeout_s": _GCS_PATIENCE_SECONDS,
    }


def _set_defaults(variables: Mapping[str, str]) -> None:
    for key, value in variables.items():
        os.environ.setdefault(key, value)


def _start(folder: Path, *, gpus: bool) -> None:
    import ray

    try:
        ray.init(
            address="local",
            include_dashboard=False,
            log_to_driver=False,
            logging_level="error",
            num_cpus=cpu_cores(),
            num_gpus=None if gpus else 0,
            object_store_memory=_OBJECT_STORE_BYTES,
            _temp_dir=str(folder),
        )
    except Exception as error:  # Ray raises a dozen kinds, Exception itself among them
        raise ClusterError(f"Ray does not start here: {error}; `dml-study doctor` looks at what it needs") from error


def _join(address: str, *, folder: Path, plugins: Sequence[Path]) -> None:
    import ray

    try:
        _knock(address)
        code = {"py_modules": staged_code(code_folder(folder), plugins=plugins), "excludes": []}
        with chdir(folder):  # Ray puts this folder before the code that it ships, on every node
            ray.init(address=address, runtime_env=code, log_to_driver=False, logging_level="error")
    except Exception as error:
        if "Version mismatch" in str(error):
            raise ClusterError(_mismatch(address, str(error))) from error
        raise ClusterError(
            f"--address {address}: no Ray cluster can be joined: {error}; give host:port of its head, or `auto` "
            "on a machine of the cluster"
        ) from error


def code_folder(folder: Path) -> Path:
    """Where the code lies that a cluster gets."""
    return folder / "code"


def _mismatch(address: str, report: str) -> str:
    """Of what Ray says in six lines: the versions there, then those here."""
    there, here = re.findall(r"Ray: (\S+)\s+Python: (\S+)", report)[:2]
    return (
        f"--address {address}: the cluster has Ray {there[0]} on Python {there[1]}, and this command Ray {here[0]} on "
        f"Python {here[1]}; Ray wants them equal everywhere: install one of the two in the other's place"
    )


def _knock(address: str) -> None:
    """Fails at once where nobody listens: Ray itself would try for a quarter of an hour."""
    import ray

    host, _, port = address.rpartition(":")
    if address != "auto":
        host = ray.util.get_node_ip_address() if host in _THIS_MACHINE else host  # as Ray does
        socket.create_connection((host, int(port)), timeout=_CONNECT_SECONDS).close()


def cpu_cores() -> int:
    """CPU cores that this process may use: by its affinity and by its container's quota."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, int(min(allowed, _container_quota())))


def _container_quota() -> float:
    try:
        quota, period = _CONTAINER_LIMITS.read_text().split()
        return int(quota) / int(period)
    except (OSError, ValueError):  # no container, or "max": no limit
        return float("inf")


def demand(resources: Resources) -> dict[str, float]:
    """What a trial occupies, by Ray's names."""
    amounts = {"CPU": resources.cpu, "GPU": resources.gpus, "memory": float(resources.memory or 0)}
    return {key: amount for key, amount in amounts.items() if amount > 0}


def refuse_impossible(needed: set[Resources]) -> None:
    """Stops before a trial that would wait for ever.

    Raises:
        ResourceError: what is asked for, and what the largest node has.
    """
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    for resources in needed:
        asked = demand(resources)
        if not any(all(node.get(key, 0.0) >= amount for key, amount in asked.items()) for node in nodes):
            largest = {key: max((node.get(key, 0.0) for node in nodes), default=0.0) for key in asked}
            raise ResourceError(
                f"resources: a trial asks for {_in_words(asked)}, and the largest node has {_in_words(largest)}; "
                "lower `resources` in the spec or use another cluster"
            )


def _in_words(amounts: Mapping[str, float]) -> str:
    units = {"CPU": (1, "CPUs"), "GPU": (1, "GPUs"), "memory": (2**30, "GiB of memory")}
    return " and ".join(f"{amount / units[key][0]:.4g} {units[key][1]}" for key, amount in amounts.items())


def slots(resources: Resources) -> int:
    """How many trials of this size the whole cluster runs at once."""
    import ray

    total: Mapping[str, Any] = ray.cluster_resources()
    return max(1, int(min(total.get(key, 0.0) / amount for key, amount in demand(resources).items())))
