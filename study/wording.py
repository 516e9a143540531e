"""Runs, specs and times in words: every command and view says them the same way."""

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.labels import setting_text, value_text
from study.studies import shipped
from trainables.ledger.places import Place, is_address

if TYPE_CHECKING:
    from trainables.ledger import Ledger

Cells = Sequence[Mapping[str, Any]]
"""The cells of a plan's record."""
Search = Mapping[str, Any]
"""A search of a plan's record."""


@dataclass(frozen=True)
class RunName:
    """What a run is called; the text joins the three.

    Attributes:
        setting: "ratio 0.5" of a cell, "ratio 0.5, setting 7" of a search; what all cells share is left out.
        replicate: "seed 0", with the fold where there are several.
    """

    method: str
    setting: str
    replicate: str

    def __str__(self) -> str:
        return ", ".join(filter(None, (self.method, self.setting, self.replicate)))


def run_names(cells: Cells) -> dict[str, RunName]:
    """Run id -> name in the first cell that uses it."""
    varied = _varied(cell["axes"] for cell in cells)
    folds = len({replicate["fold"] for cell in cells for replicate in cell["replicates"]})
    names: dict[str, RunName] = {}
    for cell in cells:
        setting = setting_text({axis: value for axis, value in cell["axes"].items() if axis in varied})
        for replicate in cell["replicates"]:
            fold = f", fold {replicate['fold']}" if folds > 1 and replicate["fold"] is not None else ""
            names.setdefault(replicate["run_id"], RunName(cell["method"], setting, f"seed {replicate['seed']}{fold}"))
    return names


def run_titles(cells: Cells) -> dict[str, str]:
    """Run id -> "method, ratio 0.5, seed 0" of the first cell that uses it."""
    return {run_id: str(name) for run_id, name in run_names(cells).items()}


def setting_names(settings: Iterable[tuple[Search, int, Sequence[Mapping[str, Any]]]]) -> dict[str, RunName]:
    """Run id -> name ("method", "ratio 0.5, setting 7", "seed 100, fold 2") of settings that searches proposed.

    Args:
        settings: a search of a plan's record, a setting's number, and its runs (seed, fold, run_id).
    """
    found = list(settings)
    varied = _varied(search["axes"] for search, _, _ in found)
    names: dict[str, RunName] = {}
    for search, number, runs in found:
        axes = setting_text({axis: value for axis, value in search["axes"].items() if axis in varied})
        setting = ", ".join(filter(None, (axes, f"setting {number}")))
        for run in runs:
            fold = f", fold {run['fold']}" if len(search["folds"]) > 1 else ""
            names.setdefault(run["run_id"], RunName(search["method"], setting, f"seed {run['seed']}{fold}"))
    return names


def setting_titles(settings: Iterable[tuple[Search, int, Sequence[Mapping[str, Any]]]]) -> dict[str, str]:
    """Run id -> "method, ratio 0.5, setting 7, seed 100, fold 2"; see `setting_names`."""
    return {run_id: str(name) for run_id, name in setting_names(settings).items()}


def search_names(searches: Sequence[Search], ledger: "Ledger") -> dict[str, RunName]:
    """Names of all runs that searches have proposed, those since the plan was written included.

    Replicates that a setting never trains because it ended before are no runs of the study.
    """
    from study.search.records import LedgerRecords

    begun = [(search, LedgerRecords(ledger).begun(search["cell_id"])) for search in searches]
    return setting_names((search, number, runs[number]) for search, runs in begun for number in sorted(runs))


def search_titles(searches: Sequence[Search], ledger: "Ledger") -> dict[str, str]:
    """Titles of the same runs."""
    return {run_id: str(name) for run_id, name in search_names(searches, ledger).items()}


def _varied(axes_of_cells: Iterable[Mapping[str, Any]]) -> set[str]:
    """Axes with several values."""
    values: dict[str, set[str]] = {}
    for axes in axes_of_cells:
        for axis, value in axes.items():
            values.setdefault(axis, set()).add(value_text(value))
    return {axis for axis, texts in values.items() if len(texts) > 1}


def epoch_text(live: Mapping[str, Any]) -> str:
    """ "epoch 3/20, val MAP@R 31.42 %" of what a run under way said last."""
    from analysis.metrics import describe

    if not live.get("epochs"):
        return "starting"
    text = f"epoch {live['epoch']}/{live['epochs']}"
    for key in (key for key in live if key.startswith("val_")):
        text += f", val {describe(key.replace('val_', 'test_', 1)).label} {100 * live[key]:.2f} %"
    return text


def failure_reason(ledger: "Ledger", run_id: str) -> str:
    """Why a run failed: the last line of its newest log, "TrainingError: the training loss became nan"."""
    names = ledger.list(f"logs/{run_id}.")
    lines = ledger.get(names[-1]).decode(errors="replace").strip().splitlines() if names else []
    return re.sub(r"^[\w.]+\.(\w+: )", r"\1", lines[-1].strip()) if lines else "no log"


def spec_argument(path: str | Path) -> str:
    """A spec as one writes it in a shell: the name of a shipped study, else the path."""
    names = {file: name for name, file in shipped().items()}
    return shlex.quote(names.get(Path(path), str(path)))


def relative(place: Place) -> Place:
    """A path as seen from the working directory, where it lies below; an address as it is."""
    if is_address(place):
        return place
    path = Path(place)
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def results_argument(place: Place) -> str:
    """A results folder as one writes it in a shell."""
    return shlex.quote(str(relative(place)))


def format_seconds(seconds: float) -> str:
    """`45 s`, `12 min`, `3.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
