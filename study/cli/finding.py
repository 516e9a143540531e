"""Results folders and single runs, as a user names them."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from study.cli.common import open_plan, results_folder
from study.studies import find_spec
from study.wording import relative, run_titles, search_titles, spec_argument
from trainables.errors import ConfigError, DmlStudyError
from trainables.ledger import Ledger
from trainables.ledger.places import Place, is_address

if TYPE_CHECKING:
    from analysis import Results
    from trainables.config import RunConfig


class NotFoundError(DmlStudyError):
    """A study, run or results folder that does not exist."""


def open_ledger(target: str, results: Place | None) -> Ledger:
    """The ledger of a results folder, or of the study that a spec names.

    Raises:
        NotFoundError: neither has results.
    """
    folder = results or _results_of(target)
    if results is None and isinstance(folder, Path) and not folder.is_dir():
        raise NotFoundError(f"no results in {folder}; `dml-study run {spec_argument(target)}` makes them")
    return Ledger.open(folder)


def load_results(studies: list[str]) -> "Results":
    """The results of studies as a user names them."""
    import analysis

    return analysis.load([open_ledger(study, None).location for study in studies])


def _results_of(target: str) -> Place:
    """A folder or address, the name of a study under `results/`, or the study of a spec."""
    if is_address(target):
        return target
    for folder in (Path(target), Path("results") / target):
        if (folder / "schema.json").is_file():
            return folder
    from study.spec import load_spec

    try:
        path = find_spec(target)
    except ConfigError as error:
        if Path(target).is_dir():
            return Path(target)
        there = ", ".join(folder.name for folder in studies()) or "none"
        text = f"{target}: no results folder, no study in results/ (there: {there}), and no spec"
        raise NotFoundError(text) from error
    return relative(results_folder(None, load_spec(path).study))


def studies() -> list[Path]:
    """Results folders of all studies under `results/`."""
    return sorted(file.parent for file in Path("results").resolve().glob("*/schema.json"))


@dataclass(frozen=True)
class FoundRun:
    """A run that a user named by the first digits of its id."""

    run_id: str
    ledger: Ledger


def find_run(prefix: str, results: Place | None) -> FoundRun:
    """Looks for a run in one results folder, or in all under `results/`: committed, under way or planned.

    Raises:
        NotFoundError: no run, or several, begin with these digits.
    """
    ledgers = [Ledger.open(results)] if results else [Ledger.open(folder) for folder in studies()]
    found = [
        FoundRun(run_id, ledger) for ledger in ledgers for run_id in sorted(_known(ledger)) if run_id.startswith(prefix)
    ]
    if not found:
        places = ", ".join(str(relative(ledger.location)) for ledger in ledgers)
        places = places or "results/ (there is no study yet)"
        raise NotFoundError(
            f"no run begins with '{prefix}' in {places}; `dml-study plan` shows the ids of a spec's runs"
        )
    if len({run.run_id for run in found}) > 1:
        ids = sorted({run.run_id for run in found})
        shown = ", ".join(ids[:5]) + (f" and {len(ids) - 5} more" if len(ids) > 5 else "")
        raise NotFoundError(f"several runs begin with '{prefix}': {shown}; give more digits")
    return found[0]


def _known(ledger: Ledger) -> set[str]:
    return set(known_titles(ledger)) | set(ledger.commits())


def known_titles(ledger: Ledger) -> dict[str, str]:
    """Run id -> title of all runs that the last `run` planned or its searches proposed."""
    if not ledger.exists("plan.json"):
        return {}
    plan = ledger.read_plan()
    return {**search_titles(plan.get("searches", ()), ledger), **run_titles(plan.get("cells", []))}


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
    plan, _ = open_plan(spec, results=found.ledger.location)
    tuned = {run.run_id: run for search in plan.searches for each in search.candidates for run in each.runs}
    if found.run_id in tuned:
        return tuned[found.run_id].config
    if found.run_id not in plan.runs:
        raise NotFoundError(
            f"run {found.run_id} has no rows yet, and {spec} as it stands does not plan it: it was changed since, "
            "or planned with --set"
        )
    return plan.runs[found.run_id].config
