"""A measurement in a process of its own: a fork, or the script started again, whose last line is what it found.

Memory is what a function adds to what is resident before: the kernel's high-water mark, reset at its start, or on a GPU
that of torch's allocator.
"""

import ctypes
import json
import multiprocessing
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

MIB = 2**20


def in_a_process(options: Sequence[str], *, threads: int) -> dict[str, Any]:
    """What this script finds with these options.

    Raises:
        SystemExit: it failed.
    """
    command = [sys.executable, sys.argv[0], *options]
    env = {**os.environ, **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def alone(function: Callable[..., dict[str, float]], *arguments: Any) -> dict[str, float]:
    """What a function returns, from a fork of this process, which has its libraries already and gives its memory back.

    The last argument has a `device`; a GPU cannot be used after a fork, and its allocator is exact without one.
    """
    if arguments[-1].device == "cuda":
        return function(*arguments)
    with multiprocessing.get_context("fork").Pool(1) as pool:
        return pool.apply(function, arguments)


def measured(function: Callable[[], Any], *, device: str = "cpu") -> tuple[Any, dict[str, float]]:
    """What a function returns, its wall and CPU seconds, and the MiB that it takes at its highest."""
    before, used = _start(device), resource.getrusage(resource.RUSAGE_SELF)
    start = time.perf_counter()
    result = function()
    synchronize(device)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
    return result, {"wall": wall, "cpu": cpu, "peak": (_highest(device) - before) / MIB}


def synchronize(device: str) -> None:
    if device == "cuda":
        import torch

        torch.cuda.synchronize()


def resident(device: str) -> int:
    """Bytes that this process holds."""
    if device == "cuda":
        import torch

        return int(torch.cuda.memory_allocated())
    return _of_status("VmRSS:")


def _start(device: str) -> int:
    synchronize(device)
    if device == "cuda":
        import torch

        torch.cuda.reset_peak_memory_stats()
    else:
        ctypes.CDLL(None).malloc_trim(0)  # what is free and kept would be taken again without being seen
        Path("/proc/self/clear_refs").write_text("5")
    return resident(device)


def _highest(device: str) -> int:
    if device == "cuda":
        import torch

        return int(torch.cuda.max_memory_allocated())
    return _of_status("VmHWM:")


def _of_status(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))
