"""A plan without the replicates that its claims do not need, or not yet."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from study.settling.comparisons import Comparison, comparisons, until
from study.settling.evidence import Evidence
from study.settling.looks import Look, look
from study.settling.spending import level, looks
from study.spec.model import UntilSettled
from trainables.metrics import lower_is_better

if TYPE_CHECKING:
    from study.plan.identity import Replicate
    from study.plan.plan import Plan, PlannedRun


@dataclass(frozen=True)
class Standing:
    """How far a comparison is.

    Attributes:
        made: the looks so far.
        needs: number of seeds that its cells need now.
    """

    comparison: Comparison
    made: tuple[Look, ...]
    needs: int

    @property
    def settled(self) -> bool:
        return bool(self.made) and self.made[-1].verdict != "open"


@dataclass(frozen=True)
class Settling:
    """How far all comparisons are.

    Attributes:
        looks: numbers of seeds at which claims are tested.
        spared: runs that are not trained, or not yet.
    """

    rule: UntilSettled
    looks: tuple[int, ...]
    standings: tuple[Standing, ...]
    spared: "Mapping[str, PlannedRun]" = field(repr=False)

    def record(self) -> dict[str, Any]:
        """For `plan.json`."""
        return {
            **self.rule.model_dump(mode="json"),
            "looks": list(self.looks),
            "comparisons": [
                {
                    "title": standing.comparison.title,
                    "better": standing.comparison.claim.better,
                    "worse": standing.comparison.claim.worse,
                    "metric": standing.comparison.claim.metric,
                    "cells": [standing.comparison.better, standing.comparison.worse],
                    "looks": [made.record() for made in standing.made],
                }
                for standing in self.standings
            ],
        }


def settled(plan: "Plan", evidence: Evidence) -> "Plan":
    """The plan with the seeds that claims need by what is known; cells that no claim compares keep all seeds.

    While a search has not chosen, every compared cell stays at the seeds of the first look: claims are tested when
    all that they compare is known.
    """
    rule, seeds = plan.spec.replication.until_settled, plan.spec.replication.seeds
    if rule is None:
        return plan
    counts, pairs = looks(rule, seeds=len(seeds)), comparisons(plan.claims, plan.cells)
    waits = any(search.chosen is None for search in plan.searches)
    standings = []
    for pair in pairs:
        made = () if waits else _looked(pair, rule, counts, seeds, len(pairs), evidence)
        standings.append(Standing(pair, made, _needs(made, counts)))
    return _narrowed(plan, rule, counts, tuple(standings))


def _looked(
    pair: Comparison, rule: UntilSettled, counts: Sequence[int], seeds: Sequence[int], family: int, evidence: Evidence
) -> tuple[Look, ...]:
    """The looks on record, and those that can be made by now."""
    key = pair.key(seeds[: counts[0]])
    made = evidence.looks(key)
    for count in counts:
        if made and (made[-1].verdict != "open" or made[-1].seeds >= count):
            continue
        if not _ready(pair, seeds[:count], evidence):
            break
        spent = math.fsum(each.level for each in made)
        new = look(
            *(_by_seed(runs, seeds[:count], pair.column, evidence) for runs in pair.runs),
            seeds=count,
            level=level(rule, fraction=count / counts[-1], comparisons=family, spent=spent),
            negligible=rule.negligible,
            lower_is_better=lower_is_better(pair.claim.metric),
        )
        made = (*made, new)
        evidence.note(key, new)
    return made


def _ready(pair: Comparison, seeds: Sequence[int], evidence: Evidence) -> bool:
    return all(evidence.ended(replicate.run_id) for runs in pair.runs for replicate in until(runs, seeds))


def _by_seed(runs: "Sequence[Replicate]", seeds: Sequence[int], column: str, evidence: Evidence) -> dict[int, float]:
    """The mean over folds by seed, where all folds have a value; a run that stands for all seeds counts for each."""
    values: dict[int, list[float]] = {}
    for replicate in until(runs, seeds):
        values.setdefault(replicate.seed, []).append(evidence.value(replicate.run_id, column))
    means = {seed: math.fsum(each) / len(each) for seed, each in values.items() if all(map(math.isfinite, each))}
    shared = len({replicate.seed for replicate in runs}) == 1
    return {seed: mean for mean in means.values() for seed in seeds} if shared else means


def _needs(made: Sequence[Look], counts: Sequence[int]) -> int:
    """Seeds of the look that settled it, or of the next one."""
    if not made:
        return counts[0]
    if made[-1].verdict != "open":
        return made[-1].seeds
    return next((count for count in counts if count > made[-1].seeds), counts[-1])


def _narrowed(plan: "Plan", rule: UntilSettled, counts: tuple[int, ...], standings: tuple[Standing, ...]) -> "Plan":
    seeds = plan.spec.replication.seeds
    needs: dict[int, int] = {}
    for standing in standings:
        for cell in (standing.comparison.better, standing.comparison.worse):
            needs[cell] = max(needs.get(cell, 0), standing.needs)
    wanted = (
        replicate.run_id
        for index, cell in enumerate(plan.cells)
        for replicate in until(cell.replicates, seeds[: needs.get(index, len(seeds))])
    )
    kept = _with_sources(wanted, plan.runs)
    cells = tuple(
        replace(cell, replicates=tuple(each for each in cell.replicates if each.run_id in kept)) for cell in plan.cells
    )
    runs = {run_id: run for run_id, run in plan.runs.items() if run_id in kept}
    spared = {run_id: run for run_id, run in plan.runs.items() if run_id not in kept}
    settling = Settling(rule, counts, standings, spared)
    return replace(plan, cells=cells, runs=runs, settling=settling)


def _with_sources(wanted: Iterable[str], runs: "Mapping[str, PlannedRun]") -> Collection[str]:
    """The runs, and those of the plan that they need, directly or not."""
    kept, waiting = set[str](), list(wanted)
    while waiting:
        run_id = waiting.pop()
        if run_id in runs and run_id not in kept:
            kept.add(run_id)
            waiting.extend(runs[run_id].sources)
    return kept
