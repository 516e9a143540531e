"""Which cells are compared: those of the claims, or every cell with its baseline."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from analysis.cells import READOUT, PlannedCell, choose_cells, planned_cells
from analysis.labels import plain_value
from analysis.loading import Results
from analysis.metrics import find_metric
from trainables.claims import claimed_pairs, split_claim
from trainables.errors import DmlStudyError
from trainables.spelling import nearest

Origin = Literal["claimed", "asked", "baseline"]


@dataclass(frozen=True)
class Claim:
    """ "A > B on metric".

    Attributes:
        origin: claimed in the study's spec; asked for after the results were there; or a method and its baseline, which
            nobody claimed.
    """

    better: str
    worse: str
    metric: str
    origin: Origin = "claimed"


@dataclass(frozen=True)
class Pair:
    """A claim in one place of the table."""

    claim: Claim
    better: PlannedCell
    worse: PlannedCell


def compared_pairs(
    results: Results, *, claims: Sequence[str] | None, metrics: Sequence[str] | None, best: str | None
) -> list[Pair]:
    """Pairs of the claims of the plans; where no study has any, of all cells with their baselines.

    Args:
        claims: compared instead, as "A > B on map_at_r".
        metrics: of cells with their baselines, which are compared instead; by default what epochs are selected by.
        best: validation metric by which one setting per method and dataset is chosen; the others are not compared.

    Raises:
        DmlStudyError: a claim cannot be read, no study has its methods, or no run its metric.
    """
    planned = planned_cells(results)
    cells = planned if best is None else choose_cells(planned, results.replicates, best).cells
    for metric in (*(metrics or ()), *(_asked(text, (), ()).metric for text in claims or ())):
        find_metric(metric, set(results.replicates.columns))
    explored = claims is None and (
        metrics is not None or not any(plan.get("claims") for plan in results.plans.values())
    )
    found: dict[tuple[Any, ...], Pair] = {}
    for study, plan in results.plans.items():
        own = [cell for cell in cells if cell.study == study]
        chosen = best is not None
        pairs = _with_baselines(plan, own, metrics) if explored else _claimed(plan, own, claims, chosen=chosen)
        for pair in pairs:
            found.setdefault((pair.better.key, pair.worse.key, pair.claim.metric), pair)
    if claims:
        _check_found(claims, results, list(found.values()))
    return list(found.values())


def _claimed(
    plan: Mapping[str, Any], cells: Sequence[PlannedCell], claims: Sequence[str] | None, *, chosen: bool
) -> Iterator[Pair]:
    names = [method["name"] for method in plan["methods"]]
    known = [Claim(each["better"], each["worse"], each["metric"]) for each in plan.get("claims", ())]
    for claim in known if claims is None else [_asked(text, names, known) for text in claims]:
        yield from _pairs(plan, cells, claim, chosen=chosen)


def _asked(text: str, methods: Sequence[str], known: Sequence[Claim]) -> Claim:
    """One that the plan has too was claimed before."""
    parts = split_claim(text, methods)
    if parts is None:
        raise DmlStudyError(f"claim '{text}' should read 'A > B on map_at_r'")
    return Claim(*parts) if Claim(*parts) in known else Claim(*parts, origin="asked")


def _pairs(plan: Mapping[str, Any], cells: Sequence[PlannedCell], claim: Claim, *, chosen: bool) -> Iterator[Pair]:
    """Cells that were chosen are compared whatever their settings are."""
    by_index = {cell.key[1]: cell for cell in cells}
    better, worse = (
        {index: _place(plan, cell, chosen=chosen) for index, cell in by_index.items() if cell.method == name}
        for name in (claim.better, claim.worse)
    )
    for one, other in claimed_pairs(better, worse):
        yield Pair(claim, by_index[one], by_index[other])


def _place(plan: Mapping[str, Any], cell: PlannedCell, *, chosen: bool) -> dict[str, Any]:
    axes = plan["cells"][cell.key[1]]["axes"].items()
    return {key: plain_value(value) for key, value in axes if not chosen or key in ("dataset", READOUT)}


def _with_baselines(
    plan: Mapping[str, Any], cells: Sequence[PlannedCell], metrics: Sequence[str] | None
) -> Iterator[Pair]:
    by_key = {cell.key: cell for cell in cells}
    for metric in metrics or [plan.get("protocol", {}).get("select_by", "map_at_r")]:
        for cell in cells:
            if cell.baseline is not None:
                other = by_key[cell.baseline]
                yield Pair(Claim(cell.method, other.method, metric, "baseline"), cell, other)


def _check_found(claims: Sequence[str], results: Results, pairs: Sequence[Pair]) -> None:
    methods = list(dict.fromkeys(m["name"] for plan in results.plans.values() for m in plan["methods"]))
    found = {(pair.claim.better, pair.claim.worse, pair.claim.metric) for pair in pairs}
    for text in claims:
        parts = split_claim(text, methods)
        for name in parts[:2] if parts else ():
            if name not in methods:
                raise DmlStudyError(f"claim '{text}': unknown method '{name}'; {nearest(name, methods)}")
        if parts not in found:
            raise DmlStudyError(f"claim '{text}': the two methods have no cells in the same place of the table")
