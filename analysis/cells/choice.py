"""Per method and dataset the cell that validation chose."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from analysis.cells.planned import READOUT, PlannedCell
from analysis.cells.samples import CellKey, cell_samples
from analysis.labels import enumeration
from analysis.metrics import Metric, find_metric
from trainables.errors import DmlStudyError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Choice:
    """Cells chosen on validation classes.

    Attributes:
        cells: one per study, method, dataset and reading; their baselines are the chosen cells of the baseline methods.
        tried: number of settings that each method was chosen from, where there was a choice.
    """

    cells: list[PlannedCell]
    metric: Metric
    tried: Mapping[str, int]

    @property
    def note(self) -> str:
        """What a footnote says about the choice."""
        tried = enumeration([f"{method}: {count}" for method, count in self.tried.items()])
        name = self.metric.label.split(",")[0]
        return (
            f"One setting per method and dataset, the one with the best mean {name} on validation classes; test "
            f"classes were not looked at. Settings tried: {tried or 'one each'}. {self._differing}"
        ).rstrip()

    @property
    def _differing(self) -> str:
        settings: dict[tuple[str, str], set[tuple[Any, ...]]] = {}
        for cell in self.cells:
            values = tuple(value for axis, value in cell.axes.items() if axis != READOUT)
            settings.setdefault((cell.study, cell.method), set()).add(values)
        if all(len(found) == 1 for found in settings.values()):
            return ""
        return "Settings that differ between datasets are given in the order of the columns."


def choose_cells(cells: list[PlannedCell], replicates: "pd.DataFrame", metric: str) -> Choice:
    """Per study, method, dataset and reading the cell with the best mean validation metric.

    Only cells with the largest number of finished seeds are compared, so that a lucky first seed does not win.

    Raises:
        DmlStudyError: the metric is not a validation metric, or a method with several settings has no value of it.
    """
    if not metric.startswith("val_"):
        raise DmlStudyError(f"best='{metric}': settings are chosen on validation classes; write 'val_map_at_r', say")
    found = find_metric(metric, set(replicates.columns))
    samples = cell_samples(replicates, found.column)
    groups: dict[tuple[str, str, str, str | None], list[PlannedCell]] = {}
    for cell in cells:
        groups.setdefault((cell.study, cell.method, cell.dataset, cell.reading), []).append(cell)
    started = {(study, int(index)) for study, index in _complete(replicates)}
    chosen = {group: _best(members, samples, found, started) for group, members in groups.items()}
    replacement = {cell.key: chosen[group].key for group, members in groups.items() for cell in members}
    result = [_redirected(cell, replacement) for cell in chosen.values()]
    tried = {method: len(members) for (_, method, _, _), members in groups.items() if len(members) > 1}
    return Choice(result, found, tried)


def _complete(replicates: "pd.DataFrame") -> Any:
    complete = replicates[replicates["status"] == "complete"]
    return complete[["study", "cell"]].drop_duplicates().itertuples(index=False)


def _best(cells: list[PlannedCell], samples: Any, metric: Metric, started: set[CellKey]) -> PlannedCell:
    known = [cell for cell in cells if cell.key in samples]
    if len(cells) == 1 or not (known or any(cell.key in started for cell in cells)):
        return cells[0]
    if not known:
        raise DmlStudyError(
            f"method '{cells[0].method}' has {len(cells)} settings and no value of '{metric.column}' to choose by; "
            "a protocol without validation classes compares settings, it does not choose one"
        )
    seeds = max(samples[cell.key].n for cell in known)
    sign = 1 if metric.higher_is_better else -1
    return max((cell for cell in known if samples[cell.key].n == seeds), key=lambda cell: sign * samples[cell.key].mean)


def _redirected(cell: PlannedCell, replacement: Mapping[CellKey, CellKey]) -> PlannedCell:
    return cell if cell.baseline is None else replace(cell, baseline=replacement[cell.baseline])
