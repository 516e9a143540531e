"""A metric against the number of neighbours that it looks at: Recall@1, 2, 4, 8."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from analysis.cells import cell_samples
from analysis.labels import enumeration
from analysis.loading import Results
from analysis.metrics import SELECTED_ON_TEST, describe
from analysis.plots.shared.charts import Along, Look, Panel, Series, Spread, draw_charts, series_of
from analysis.plots.shared.scales import scale_for
from analysis.plots.shared.selection import Settings, entries, settled_cells
from analysis.protocol.notes import protocol_line
from trainables.errors import DmlStudyError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DEPTH = re.compile(r"(.+)_at_(\d+)")


def metric_at_k(
    results: Results,
    *,
    metric: str = "recall",
    methods: Sequence[str] | None = None,
    settings: Settings = "chosen",
    spread: Spread = "interval",
) -> "Figure":
    """One panel per dataset, one line per method: the metric at every recorded k, with intervals over seeds.

    Args:
        results: one or several studies, finished or not.
        metric: "recall", "ndcg", "label_distance", or one of their columns: "recall_at_1", "val_recall_at_1".
        methods: those to draw; all by default.
        settings: as in `learning_curves`.
        spread: 95 % t-interval of the mean, or one standard deviation over seeds.

    Raises:
        DmlStudyError: the metric was recorded at fewer than two k.
    """
    columns = _columns(results, metric)
    described = describe(next(iter(columns.values())))
    samples = {k: cell_samples(results.replicates, column, factor=described.factor) for k, column in columns.items()}
    cells = settled_cells(results, methods, settings)
    along = Along("k", scale_for(list(columns)), list(columns))
    lines: dict[str, list[Series]] = {}
    for entry in entries(cells):
        for dataset, cell in entry.cells.items():
            known = [k for k in columns if cell.key in samples[k]]
            if known:
                found = [samples[k][cell.key] for k in known]
                lines.setdefault(dataset, []).append(series_of(entry.label, along.places(known), found, spread))
    if not lines:
        raise DmlStudyError(f"no run is complete with {enumeration(columns.values())}")
    return draw_charts(
        [Panel(dataset, series) for dataset, series in lines.items()],
        along=along,
        y_label=re.sub(r"@\d+", "@k", described.title),
        look=Look(spread, "bar"),
        protocol=protocol_line(results, [cell.key for cell in cells]),
    )


def _columns(results: Results, metric: str) -> dict[int, str]:
    """The metric's columns by their k."""
    asked = _DEPTH.fullmatch(metric)
    stem = asked[1] if asked else metric
    recorded = _recorded(results)
    found = recorded.get(f"test_{stem}", recorded.get(stem, {}))
    if len(found) < 2:
        known = ", ".join(name.removeprefix("test_") for name, depths in recorded.items() if len(depths) > 1)
        raise DmlStudyError(f"'{stem}' was not recorded at several k; recorded so: {known or 'nothing'}")
    return dict(sorted(found.items()))


def _recorded(results: Results) -> dict[str, dict[int, str]]:
    """By the name before "_at_": columns that have numbers, by their k."""
    found: dict[str, dict[int, str]] = {}
    replicates = results.replicates
    for column in replicates.columns:
        match = _DEPTH.fullmatch(column)
        if match and not column.startswith(SELECTED_ON_TEST) and replicates[column].notna().any():
            found.setdefault(match[1], {})[int(match[2])] = column
    return found
