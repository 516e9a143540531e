"""From a spec to its plan."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from study.plan.advice import advice
from study.plan.baselines import baseline_cells
from study.plan.configs import Configs, FileResolver, NoFiles, Resolver, run_config
from study.plan.coverage import check_coverage
from study.plan.grid import Draft, Grid, GridBuilder
from study.plan.identity import Replicate
from study.plan.parents import linked
from study.plan.plan import Cell, Plan, PlannedRun
from study.plan.readouts import AXIS, read_out
from study.plan.searches import check_searches, search_advice, waiting_methods, with_searches, without_waiting
from study.plan.untrained import Made, untrained_cells
from study.search.history import Foresight, History, NoHistory
from study.search.search import Search
from study.settling import settled
from study.spec.errors import Place, Problems
from study.spec.spec import UNTRAINED, Spec
from trainables.datasets.source import Progress
from trainables.strategies.config import Kept


def build_plan(
    spec: Spec,
    *,
    cache: Path | None = None,
    resolve_data: bool = True,
    resolver: Resolver | None = None,
    progress: Progress | None = None,
    history: History | None = None,
) -> Plan:
    """Expands a spec to cells and runs, and checks every value of every cell.

    A cell of a tuned method stands in the plan as soon as its search has chosen a setting.

    Args:
        spec: what `load_spec` returned.
        cache: folder of decoded images and content hashes; the user's cache where empty.
        resolve_data: look datasets and weights up on disk; without, ids are not those of the runs.
        resolver: what looks them up instead of the files' own resolver.
        progress: told how far hashing is, where data is new or has changed.
        history: opens searches where they stand; as if none had begun, where empty.

    Raises:
        SpecError: all values that cannot be, and all data that is not there.
    """
    problems = Problems()
    grid = GridBuilder(spec).build()
    check_coverage(spec, grid, problems)
    check_searches(spec, problems)
    if resolver is None:
        resolver = FileResolver(spec.path.parent, cache, progress) if resolve_data else NoFiles()
    configs = Configs(spec.replication, resolver, problems)

    def rebuilt(history: History) -> Plan:
        return _built(spec, grid, configs, history, resolved=resolve_data, rebuilt=rebuilt)

    plan = rebuilt(history or NoHistory())
    if any(search.chosen is None for search in plan.searches):
        rebuilt(Foresight())  # what cannot be confirmed is told before anything is searched
    return plan


def _built(spec: Spec, grid: Grid, configs: Configs, history: History, **how: Any) -> Plan:
    problems = configs.problems
    drafts, searches = with_searches(spec, grid.drafts, configs=configs, history=history, problems=problems)
    cells = without_waiting(list(_made(spec, drafts, configs, problems)), waiting_methods(searches))
    made = read_out(linked(cells, spec, problems), spec, problems)
    _check_claims(spec, made, problems)
    if not grid.drafts:
        place = spec.exclude[-1].place if spec.exclude else Place(str(spec.path))
        problems.add(place, "exclude", "leaves no cell to train")
    problems.raise_any()
    return settled(_plan(spec, grid, made, searches, **how), history.evidence)


def _made(spec: Spec, drafts: list[Draft], configs: Configs, problems: Problems) -> Iterator[Made]:
    seeds, folds = spec.replication.seeds, spec.replication.folds
    told: set[tuple[str, str]] = set()
    for draft in drafts:
        parts = {kind: configs.config(section) for kind, section in draft.sections.items()}
        if any(part is None for part in parts.values()):
            continue
        try:
            config = run_config(parts, seed=seeds[0], fold=folds[0], device=draft.method.resources.device)
        except ValidationError as error:
            _report(draft, error, told, problems)
            continue
        if wrong := draft.method.resources.refused_threads(config.training.threads):
            _tell(draft, wrong, told, problems)
            continue
        axes = draft.axes if "dataset" in draft.axes else {"dataset": config.dataset.title, **draft.axes}
        ids = configs.identities.replicates(config, seeds, folds)
        yield Made(draft.method.name, axes, draft.sections, config, ids, draft.method.resources)


def _report(draft: Draft, error: ValidationError, told: set[tuple[str, str]], problems: Problems) -> None:
    """Sections that contradict each other."""
    for details in error.errors(include_url=False):
        _tell(draft, details["msg"].removeprefix("Value error, "), told, problems)


def _tell(draft: Draft, text: str, told: set[tuple[str, str]], problems: Problems) -> None:
    """Once for a method, however many cells have it."""
    if (draft.method.name, text) not in told:
        told.add((draft.method.name, text))
        problems.add(draft.method.place, f"methods.{draft.method.name}", text)


def _check_claims(spec: Spec, cells: list[Made], problems: Problems) -> None:
    computed = set.intersection(*(set(cell.config.protocol.ks) for cell in cells)) if cells else set()
    for claim in spec.claims:
        k = claim.metric.removeprefix("recall_at_")
        if cells and k.isdigit() and int(k) not in {1, *computed}:
            problems.add(claim.place, "claims", f"{claim.metric} is not computed; add {k} to protocol.ks")
        if spec.replication.until_settled and any(cell.config.protocol.test == "never" for cell in cells):
            text = "is tested on test classes to end the study (replicates.until_settled), and protocol.test is never"
            problems.add(claim.place, "claims", text)


def _plan(
    spec: Spec,
    grid: Grid,
    made: list[Made],
    searches: list[Search],
    *,
    resolved: bool,
    rebuilt: Callable[[History], Plan],
) -> Plan:
    rows, doubts = untrained_cells(made, spec.replication) if spec.untrained else ([], [])
    cells = [*rows, *made]
    methods = {method.name: method.baseline for method in spec.methods}
    indices, lonely = baseline_cells(cells, methods, awaited=waiting_methods(searches))
    axes = (*(axis.key for axis in spec.axes), *([AXIS] if any(AXIS in cell.axes for cell in made) else []))
    final = tuple(_cell(cell, baseline) for cell, baseline in zip(cells, indices, strict=True))
    return Plan(
        spec=spec,
        axes=axes if "dataset" in axes else ("dataset", *axes),
        methods={UNTRAINED: None, **methods} if rows else methods,
        cells=final,
        runs=_runs(final),
        protocol=_protocol(made, searches),
        warnings=(*doubts, *lonely, *advice(spec, grid, made), *search_advice(searches)),
        excluded=grid.excluded,
        resolved=resolved,
        searches=tuple(searches),
        rebuilt=rebuilt,
    )


def _cell(made: Made, baseline: int | None) -> Cell:
    return Cell(made.method, made.axes, baseline, made.replicates, made.config, made.resources, made.sections)


def _runs(cells: tuple[Cell, ...]) -> dict[str, PlannedRun]:
    """Distinct runs; the first cell that needs one says how it trains."""
    found: dict[str, tuple[Cell, Replicate, list[int]]] = {}
    for index, cell in enumerate(cells):
        for replicate in cell.replicates:
            known = found.get(replicate.run_id)
            if known is None:
                found[replicate.run_id] = (cell, replicate, [index])
            else:
                known[2].append(index)
    kept: dict[str, set[Kept]] = {}
    for cell, replicate, _ in found.values():
        for source in replicate.sources:
            kept.setdefault(source, set()).add(cell.config.strategy.reads)
    return {
        run_id: PlannedRun(
            run_id,
            replicate.seed,
            replicate.fold,
            cell.resources,
            tuple(indices),
            cell.config,
            sources=replicate.sources,
            kept=frozenset(kept.get(run_id, ())),
        )
        for run_id, (cell, replicate, indices) in found.items()
    }


def _protocol(cells: list[Made], searches: list[Search]) -> dict[str, Any]:
    """The protocol of the first cell, for the footnotes of tables; while all are searched, that of the first search."""
    first = cells[0].config.protocol if cells else searches[0].cell.protocol
    return first.model_dump(mode="json")
