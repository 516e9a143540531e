"""`doctor`: what would stop a study on this machine."""

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from study.cli import options

if TYPE_CHECKING:
    from study.plan import Resources
    from trainables.ledger.places import Place

_LEAST_FREE = 2 * 2**30


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    state: Literal["ok", "note", "fail"]
    topic: str
    message: str


def doctor(
    spec: Annotated[str | None, typer.Argument(metavar="[SPEC]", help="Also look at what this study needs.")] = None,
    results: Annotated[
        str, typer.Option("--results", "-r", metavar="FOLDER", help="Where results will be written.")
    ] = "results",
    cache: options.Cache = None,
) -> None:
    """Look at versions, devices, storage and data, and say what would stop a study here."""
    from study.cli.common import cache_folder
    from trainables.ledger.places import resolved

    place = resolved(results)
    examinations: list[Callable[[], Iterator[Finding]]] = [
        _versions,
        _devices,
        lambda: _storage("results", place) if isinstance(place, Path) else _object_store(place),
        lambda: _storage("cache", cache_folder(cache)),
        _temporary,
        _data_folders,
    ]
    if spec is not None:
        examinations.append(lambda: _study(spec, place, cache))
    states = [_print(finding) for examine in examinations for finding in examine()]
    if "fail" in states:
        raise typer.Exit(1)


def _print(finding: Finding) -> str:
    from rich.table import Table
    from rich.text import Text

    from study.cli.common import console_out

    style = {"ok": "green", "note": "yellow", "fail": "bold red"}[finding.state]
    line = Table.grid(padding=(0, 2, 0, 0))
    line.add_column(width=4)
    line.add_column(width=8)
    line.add_column(overflow="fold")
    line.add_row(Text(finding.state, style=style), finding.topic, Text(finding.message))
    console_out().print(line)
    return finding.state


def _versions() -> Iterator[Finding]:
    import json

    from trainables.provenance import package_versions

    versions = json.loads(package_versions())
    yield Finding("ok", "versions", ", ".join(f"{name} {version}" for name, version in versions.items()))
    for name in ("torch", "torchvision", "ray.tune", "pyarrow.parquet"):
        try:
            import_module("trainables")  # repairs what a torchvision from another index lacks
            import_module(name)
        except (ImportError, RuntimeError, OSError) as error:
            yield Finding("fail", "versions", f"`import {name}` fails: {error}; install with -c constraints.txt")


def _devices() -> Iterator[Finding]:
    import torch

    yield Finding("ok", "devices", f"{_cpus()} CPUs for this process")
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            memory = torch.cuda.get_device_properties(index).total_memory / 2**30
            yield Finding("ok", "devices", f"GPU {index}: {torch.cuda.get_device_name(index)}, {memory:.0f} GiB")
    else:
        yield Finding("note", "devices", "no GPU that torch can use; a spec with `resources.gpu` will be refused")


def _cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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


def _object_store(address: str) -> Iterator[Finding]:
    """Writes, reads and deletes a small object."""
    from trainables.errors import DmlStudyError
    from trainables.ledger.object_store import ObjectStore

    key = ".dml-study-doctor"
    try:
        store = ObjectStore(address)
        store.put(key, b"probe")
        store.get(key)
        store.delete(key)
    except DmlStudyError as error:
        yield Finding("fail", "results", str(error))
        return
    yield Finding("ok", "results", f"{address} can be written, read and deleted from")


def _temporary() -> Iterator[Finding]:
    folder = tempfile.gettempdir()
    if len(folder) > 60:
        yield Finding("note", "storage", f"TMPDIR {folder} is long; Ray's sockets go to /tmp instead")
    shared = Path("/dev/shm")
    if sys.platform == "linux" and shared.is_dir() and shutil.disk_usage(shared).free < 256 * 2**20:
        yield Finding("note", "storage", "/dev/shm has less than 256 MiB free; Ray will be slow")


def _data_folders() -> Iterator[Finding]:
    from trainables.datasets.catalog import data_folders

    folders = data_folders(None)
    found = [folder for folder in folders if folder.is_dir()]
    yield from (Finding("ok", "data", str(folder)) for folder in found)
    if not found:
        looked = " and ".join(str(folder) for folder in folders)
        yield Finding("note", "data", f"no {looked}; $DML_STUDY_DATA names the folder of your images and weights")


def _study(spec: str, results: "Place", cache: Path | None) -> Iterator[Finding]:
    from study.cli.common import open_plan
    from trainables.errors import DmlStudyError
    from trainables.ledger import Ledger
    from trainables.ledger.folder import has_results
    from trainables.ledger.places import inside

    try:
        plan, _ = open_plan(spec, None, cache)
        if has_results(inside(results, plan.study)):
            Ledger.open(inside(results, plan.study)).commits()
    except DmlStudyError as error:
        yield Finding("fail", "study", str(error))
        return
    yield Finding("ok", "study", f"{plan.study}: {len(plan.cells)} cells, {len(plan.runs)} runs")
    yield from (Finding("note", "study", warning) for warning in plan.warnings)
    yield from _resources({planned.resources for planned in plan.runs.values()})


def _resources(needed: "set[Resources]") -> Iterator[Finding]:
    import torch

    cpus, gpus = _cpus(), torch.cuda.device_count()
    for resources in needed:
        if resources.cpu > cpus or resources.gpus > gpus:
            message = (
                f"a run asks for {resources.cpu:g} CPUs and {resources.gpus:g} GPUs, and this machine has "
                f"{cpus} CPUs and {gpus} GPUs; lower `resources` in the spec, or run on a cluster with --address"
            )
            yield Finding("fail", "study", message)
