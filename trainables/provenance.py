"""Where and with what a run was made. Free of torch until asked for a device's name."""

import json
import platform
import socket
import subprocess
from functools import lru_cache
from importlib import metadata
from pathlib import Path

COMMIT_FILE = "_commit"
"""Beside this module where the code was shipped to a node of a cluster: the commit that it was shipped from."""

_PACKAGES = ("dml-study", "torch", "torchvision", "numpy", "ray", "pyarrow", "pillow")


@lru_cache(maxsize=1)
def package_versions() -> str:
    """JSON of the versions of Python and of the packages that numbers may depend on."""
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return json.dumps(versions, sort_keys=True)


@lru_cache(maxsize=1)
def git_commit() -> str | None:
    """Commit of the checkout that this code runs or was shipped from, with `+dirty` for uncommitted changes; None for a
    wheel."""
    if (shipped := Path(__file__).with_name(COMMIT_FILE)).is_file():
        return shipped.read_text()
    folder = Path(__file__).resolve().parents[1]
    if not (folder / ".git").exists():
        return None
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        return commit + ("+dirty" if _git(folder, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()


def host_name() -> str:
    """This machine's name."""
    return socket.gethostname()


def device_name(device: str) -> str:
    """The GPU's name, or the processor's."""
    if device == "cuda":
        import torch

        return str(torch.cuda.get_device_name())
    return _processor()


@lru_cache(maxsize=1)
def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
