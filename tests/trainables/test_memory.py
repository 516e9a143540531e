"""Freed memory stays with the process: the next step's tensors cause no page faults."""

import ctypes
import subprocess
import sys

import pytest

from trainables import memory
from trainables.memory import keep_freed_memory

MEGABYTES, TIMES = 64, 20
PAGES = MEGABYTES * 2**20 // 4096

# Page faults of tensors that are written and freed one after the other: as a process starts, and with memory kept.
CHURN = f"""
import resource
import torch
from trainables.memory import keep_freed_memory
def faults(times):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        torch.ones({MEGABYTES} * 2**18)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(faults({TIMES}))
print(keep_freed_memory())
faults({TIMES})  # the heap finds its size
print(faults({TIMES}))
"""

on_glibc = pytest.mark.skipif(
    not sys.platform.startswith("linux") or not hasattr(ctypes.CDLL(None), "gnu_get_libc_version"), reason="glibc only"
)


@on_glibc
def test_tensors_of_the_next_step_cause_no_page_faults() -> None:
    done = subprocess.run([sys.executable, "-c", CHURN], capture_output=True, text=True, check=True)
    faults, kept, kept_faults = done.stdout.split()
    assert kept == "True"
    assert int(kept_faults) < PAGES, f"less than the pages of one tensor in {TIMES}"
    assert int(kept_faults) < int(faults) / 20


@on_glibc
def test_memory_does_not_grow_with_the_number_of_steps() -> None:
    """Tensors of ever new sizes, never more than 64 MB at a time: what is resident stays near that."""
    program = """
import random, resource
import torch
from trainables.memory import keep_freed_memory
keep_freed_memory()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
random.seed(0)
for step in range(100):
    tensors = [torch.ones(random.randrange(2**10, 2**21)) for _ in range(8)]
    del tensors
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**10)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 2 * MEGABYTES


def test_it_is_a_refusal_and_no_error_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: object())
    assert keep_freed_memory() is False
    monkeypatch.setattr(memory.sys, "platform", "darwin")
    assert keep_freed_memory() is False
