"""What a worker on a node says before work starts: does it have our code, the results folder, the data?"""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from trainables.config import RunConfig
from trainables.errors import DmlStudyError, LedgerError
from trainables.ledger.folder import has_results, open_folder
from trainables.ledger.lease import read_driver
from trainables.ledger.places import resolved
from trainables.provenance import host_name, package_versions
from trainables.shipped import adopt, cache_here, code_fingerprint, plugins_here, require_data, with_own_data

_PACKAGES = ("study", "trainables")


@dataclass(frozen=True)
class Question:
    """What a node has to have.

    Attributes:
        code: fingerprint of the shipped packages; "" where none were shipped.
        results: absolute path or address of the results folder.
        lease: key of the driver's lease in it; token: what stands there now.
        session: what runs are told of caches, data and plug-ins.
        runs: JSON of runs whose parts and data are needed.
        patience: seconds; a network file system may show what was just written only after its caches have expired.
        environment: variables of the driver, secrets among them.
    """

    code: str
    results: str
    lease: str
    token: str
    session: Mapping[str, Any]
    runs: Sequence[str]
    patience: float = 30.0
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Answer:
    """What a node says: its name, its versions as JSON, and what it lacks; "" where it lacks nothing."""

    host: str
    versions: str
    problem: str


def answer(question: Question) -> Answer:
    """Looks around on this node; decodes images that its cache does not have."""
    try:
        _examine(question)
        problem = ""
    except DmlStudyError as error:
        problem = str(error)
    except Exception as error:  # noqa: BLE001 - the driver says it, with the node's name
        problem = f"{type(error).__name__}: {error}"
    return Answer(host_name(), package_versions(), problem)


def fingerprint(root: Path | None = None) -> str:
    """Of the packages below a folder, or of those that this process imports."""
    return code_fingerprint([root / name if root else _imported(name) for name in _PACKAGES])


def _imported(name: str) -> Path:
    found = find_spec(name)
    return Path(str(found.origin)).parent if found else Path(name)


def _examine(question: Question) -> None:
    from trainables.plugins import load_plugins

    if question.code and fingerprint() != question.code:
        raise DmlStudyError(
            f"workers import another copy of dml-study, from {_imported('trainables')}, and not the one of this "
            "command; take it out of their PYTHONPATH"
        )
    adopt(question.environment)
    load_plugins(plugins_here(question.session["plugins"]))
    _require_results(question)
    cache = cache_here(question.session["cache"])
    for text in question.runs:
        require_data(with_own_data(RunConfig.model_validate_json(text), question.session["data"]), cache=cache)


def _require_results(question: Question) -> None:
    """The results folder must be the driver's, and not one of the same name on a disk of this node."""
    until = time.monotonic() + question.patience
    while (reason := _not_shared(question)) and time.monotonic() < until:
        time.sleep(1)
    if reason:
        raise LedgerError(
            f"the results folder {question.results} {reason}; put results where every node sees them (--results on a "
            "shared file system, or s3://bucket/folder)"
        )


def _not_shared(question: Question) -> str:
    place = resolved(question.results)
    if not has_results(place):
        return "is not there"
    if isinstance(place, Path) and not os.access(place, os.W_OK | os.X_OK):
        return f"cannot be written by the user there, number {os.geteuid()}"
    driver = read_driver(open_folder(place), question.lease)
    return "" if driver is not None and driver.token == question.token else "is another one there"
