"""Steps that several commands share: opening specs, plans, ledgers and single runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from study.plan import Plan, build_plan
from study.spec import load_spec
from study.studies import find_spec
from trainables.errors import DmlStudyError
from trainables.ledger import Ledger

if TYPE_CHECKING:
    from trainables.config import RunConfig


class NotFoundError(DmlStudyError):
    """A study, run or results folder that does not exist."""


def cache_folder(cache: Path | None) -> Path:
    """The chosen cache, or the user's."""
    from trainables.datasets.catalog import cache_folder as default

    return (cache or default()).expanduser().resolve()


def open_plan(
    spec: str,
    overrides: Sequence[str] | None = None,
    cache: Path | None = None,
    plugins: Sequence[Path] | None = None,
) -> tuple[Plan, str]:
    """The plan of a spec file or shipped study, and the file's text."""
    path = find_spec(spec)
    loaded = load_spec(path, overrides=tuple(overrides or ()), plugins=tuple(plugins or ()))
    return build_plan(loaded, cache=cache_folder(cache)), path.read_text(encoding="utf-8")


def results_folder(results: Path | None, study: str) -> Path:
    """The results folder of a study."""
    return (results or Path("results") / study).expanduser().resolve()


def open_ledger(target: str, results: Path | None) -> Ledger:
    """The ledger of a results folder, or of the study that a spec names.

    Raises:
        NotFoundError: neither has results.
    """
    folder = results or _results_of(target)
    if not folder.is_dir():
        raise NotFoundError(f"no results in {folder}; `dml-study run {target}` makes them")
    return Ledger.open(folder.resolve())


def _results_of(target: str) -> Path:
    """A folder, the name of a study under `results/`, or the study of a spec."""
    for folder in (Path(target), Path("results") / target):
        if folder.is_dir():
            return folder
    return results_folder(None, load_spec(find_spec(target)).study)


@dataclass(frozen=True)
class FoundRun:
    """A run that a user named by the first digits of its id."""

    run_id: str
    ledger: Ledger


def find_run(prefix: str, results: Path | None) -> FoundRun:
    """Looks for a run in one results folder, or in all under `results/`: committed, under way or planned.

    Raises:
        NotFoundError: no run, or several, begin with these digits.
    """
    ledgers = [Ledger.open(folder) for folder in _folders(results)]
    found = [
        FoundRun(run_id, ledger) for ledger in ledgers for run_id in sorted(_known(ledger)) if run_id.startswith(prefix)
    ]
    if not found:
        places = ", ".join(ledger.location for ledger in ledgers) or "results/ (there is no study yet)"
        raise NotFoundError(f"no run begins with '{prefix}' in {places}; `dml-study status` lists what there is")
    if len({run.run_id for run in found}) > 1:
        ids = ", ".join(sorted({run.run_id for run in found})[:5])
        raise NotFoundError(f"several runs begin with '{prefix}': {ids}; give more digits")
    return found[0]


def _folders(results: Path | None) -> list[Path]:
    if results is not None:
        return [results.resolve()]
    root = Path("results").resolve()
    return sorted(folder.parent for folder in root.glob("*/schema.json")) if root.is_dir() else []


def _known(ledger: Ledger) -> set[str]:
    planned = (
        {replicate["run_id"] for cell in ledger.read_plan().get("cells", []) for replicate in cell["replicates"]}
        if ledger.exists("plan.json")
        else set()
    )
    return planned | set(ledger.commits())


def run_config(found: FoundRun) -> "RunConfig":
    """The configuration of a run: from its rows, or from the plan of its study's spec where it has none yet.

    Raises:
        NotFoundError: the run left the spec and has no rows.
    """
    from trainables.config import RunConfig

    if found.run_id in found.ledger.commits():
        rows = found.ledger.read("runs", columns=["run_id", "config"]).to_pylist()
        return RunConfig.model_validate_json(next(row["config"] for row in rows if row["run_id"] == found.run_id))
    spec = found.ledger.read_plan()["spec"]
    plan, _ = open_plan(spec)
    if found.run_id not in plan.runs:
        raise NotFoundError(f"run {found.run_id} has no rows and is no longer in {spec}")
    return plan.runs[found.run_id].config
