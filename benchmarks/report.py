"""What every measurement carries: command, machine and versions, above its table and in a file named after them."""

import argparse
import json
import os
import platform
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
_PACKAGES = ("dml-study", "python", "ray", "torch", "pyarrow")


def parser(doc: str | None) -> argparse.ArgumentParser:
    """A parser with the options that every script has."""
    made = argparse.ArgumentParser(description=(doc or "").splitlines()[0])
    made.add_argument("--json", type=Path, default=HERE / "results", help="folder for the measurements")
    return made


def with_device(made: argparse.ArgumentParser) -> argparse.ArgumentParser:
    made.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    made.add_argument("--threads", type=int, default=1, help="CPU threads")
    return made


def begin(device: str = "cpu") -> dict[str, str]:
    """Prints and returns command, machine and versions."""
    command = " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]])
    about = {"command": command, **machine(device), "load before": f"{os.getloadavg()[0]:.1f}"}
    print("\n".join(f"{key}: {value}" for key, value in about.items()), end="\n\n", flush=True)
    return about


def write(folder: Path, title: str, content: Mapping[str, Any]) -> Path:
    """Writes the measurements to a file that is named after its title."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{re.sub(r'[^A-Za-z0-9.]+', '-', title)}.json"
    path.write_text(json.dumps(content, indent=1) + "\n")
    print(f"\nwritten to {path}")
    return path


def show(head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table; numbers have three digits, and None was not measured."""
    texts = [list(head), *([_text(value) for value in row] for row in rows)]
    widths = [max(len(row[column]) for row in texts) for column in range(len(head))]
    for row in texts:
        first = row[0].ljust(widths[0])
        print(" ".join([first, *(text.rjust(width) for text, width in zip(row[1:], widths[1:], strict=True))]))


def _text(value: object) -> str:
    if value is None:
        return "not measured"
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def machine(device: str = "cpu") -> dict[str, str]:
    versions, name = _versions(), f"{os.cpu_count()} CPUs, {_processor()}"
    if device == "cuda":
        name = f"{_gpu()}, {name}"
    shown = ", ".join(f"{package} {versions[package]}" for package in _PACKAGES)
    return {"machine": f"{name}, {platform.platform()}", "versions": shown}


def kind(device: str = "cpu", *, precision: str | None = None, package: str = "ray") -> str:
    """For the file's name: machine, precision and the versions that matter."""
    versions = _versions()
    name = _gpu() if device == "cuda" else f"{os.cpu_count()}cpu {_processor()}"
    known = [name, precision, f"dml-study-{versions['dml-study']}", f"{package}-{versions[package]}"]
    return " ".join(filter(None, known))


def _versions() -> dict[str, str]:
    from trainables.provenance import package_versions

    versions: dict[str, str] = json.loads(package_versions())
    return versions


def _processor() -> str:
    from trainables.provenance import device_name

    return device_name("cpu")


def _gpu() -> str:
    from trainables.provenance import device_name

    return device_name("cuda")
