"""`doctor`: what would stop a study on this machine."""

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from study.cli import options

_LEAST_FREE = 2 * 2**30


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    state: Literal["ok", "note", "fail"]
    topic: str
    message: str


def doctor(
    spec: Annotated[str | None, typer.Argument(help="Also look at what this study needs.")] = None,
    results: Annotated[Path, typer.Option("--results", "-r", help="Where results will be written.")] = Path("results"),
    cache: options.Cache = None,
) -> None:
    """Look at versions, devices, storage and data, and say what would stop a study here."""
    from rich.console import Console

    from study.cli.common import cache_folder

    console = Console(highlight=False, soft_wrap=True)
    examinations: list[Callable[[], Iterator[Finding]]] = [
        _versions,
        _devices,
        lambda: _storage("results", results.resolve()),
        lambda: _storage("cache", cache_folder(cache)),
        _temporary,
        _data_folders,
    ]
    if spec is not None:
        examinations.append(lambda: _study(spec, cache))
    failed = False
    for examine in examinations:
        for finding in examine():
            failed = failed or finding.state == "fail"
            style = {"ok": "green", "note": "yellow", "fail": "bold red"}[finding.state]
            console.print(f"[{style}]{finding.state:4}[/] {finding.topic:10} ", end="")
            console.print(finding.message, markup=False)
    if failed:
        raise typer.Exit(1)


def _versions() -> Iterator[Finding]:
    import json

    from trainables.provenance import package_versions

    versions = json.loads(package_versions())
    yield Finding("ok", "versions", ", ".join(f"{name} {version}" for name, version in versions.items()))
    for name in ("torch", "torchvision", "ray.tune", "pyarrow.parquet"):
        try:
            __import__("trainables")
            __import__(name)
        except (ImportError, RuntimeError, OSError) as error:
            yield Finding("fail", "versions", f"`import {name}` fails: {error}; install with -c constraints.txt")


def _devices() -> Iterator[Finding]:
    import torch

    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield Finding("ok", "devices", f"{cpus} CPUs for this process")
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            memory = torch.cuda.get_device_properties(index).total_memory / 2**30
            yield Finding("ok", "devices", f"GPU {index}: {torch.cuda.get_device_name(index)}, {memory:.0f} GiB")
    else:
        yield Finding("note", "devices", "no GPU that torch can use; a spec with `resources.gpu` will be refused")


def _storage(topic: str, folder: Path) -> Iterator[Finding]:
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    try:
        with tempfile.NamedTemporaryFile(dir=existing):
            pass
    except OSError as error:
        yield Finding("fail", topic, f"{existing} cannot be written: {error.strerror}")
        return
    free = shutil.disk_usage(existing).free
    state: Literal["ok", "fail"] = "ok" if free > _LEAST_FREE else "fail"
    yield Finding(state, topic, f"{folder}: {free / 2**30:.1f} GiB free" + ("" if state == "ok" else ", too little"))


def _temporary() -> Iterator[Finding]:
    folder = tempfile.gettempdir()
    if len(folder) > 60:
        yield Finding("note", "storage", f"TMPDIR {folder} is long; Ray's sockets go to /tmp instead")
    shared = Path("/dev/shm")
    if sys.platform == "linux" and shared.is_dir() and shutil.disk_usage(shared).free < 256 * 2**20:
        yield Finding("note", "storage", "/dev/shm has less than 256 MiB free; Ray will be slow")


def _data_folders() -> Iterator[Finding]:
    from trainables.datasets.catalog import data_folders

    for folder in data_folders(None):
        if folder.is_dir():
            yield Finding("ok", "data", str(folder))
        else:
            yield Finding("note", "data", f"{folder} does not exist; $DML_STUDY_DATA names another folder")


def _study(spec: str, cache: Path | None) -> Iterator[Finding]:
    from study.cli.common import open_plan
    from trainables.errors import DmlStudyError

    try:
        plan, _ = open_plan(spec, None, cache)
    except DmlStudyError as error:
        yield Finding("fail", "study", str(error))
        return
    yield Finding("ok", "study", f"{plan.study}: {len(plan.cells)} cells, {len(plan.runs)} runs")
    yield from (Finding("note", "study", warning) for warning in plan.warnings)
    if any(planned.resources.gpu > 0 for planned in plan.runs.values()):
        import torch

        if not torch.cuda.is_available():
            yield Finding("fail", "study", "its runs ask for a GPU and this machine has none that torch can use")
