"""Telling whether a process is still the same one: process numbers are given out again."""

import os
import subprocess
from pathlib import Path


def process_start_time(pid: int) -> str | None:
    """An opaque mark of when a process started, or None when it is gone (a zombie is)."""
    if Path("/proc/self/stat").exists():
        return _from_proc(pid)
    return _from_ps(pid)


def own_start_time() -> str:
    """The mark of this process."""
    return process_start_time(os.getpid()) or ""


def _from_proc(pid: int) -> str | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text.rpartition(")")[2].split()  # the name before may hold blanks and brackets
    state, start = fields[0], fields[19]
    return None if state in "ZX" else start


def _from_ps(pid: int) -> str | None:
    """macOS: `ps` prints the state and the start as text."""
    command = ["ps", "-o", "state=", "-o", "lstart=", "-p", str(pid)]
    environment = {**os.environ, "LC_ALL": "C", "TZ": "UTC"}
    answer = subprocess.run(command, capture_output=True, text=True, check=False, env=environment).stdout
    state, _, start = answer.strip().partition(" ")
    return None if not start or state.startswith("Z") else start.strip()
