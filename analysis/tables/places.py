"""Cells put in their places: lines of a table before its numbers, and its columns."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from analysis.cells import UNTRAINED, CellKey, PlannedCell, Sample
from analysis.labels import axis_labels, value_text
from analysis.metrics import Metric
from analysis.tables.axes import Axes, value
from analysis.tables.model import Column

Coordinates = tuple[Any, ...]


@dataclass(frozen=True)
class Place:
    """One number to come."""

    cell: PlannedCell
    metric: Metric


@dataclass(frozen=True)
class Line:
    """A row to come: its places, by the coordinates of the column."""

    at: Coordinates
    places: Mapping[Coordinates, Place]

    @property
    def cells(self) -> list[PlannedCell]:
        """Its cells, each once."""
        return list({place.cell.key: place.cell for place in self.places.values()}.values())

    @property
    def untrained(self) -> bool:
        return all(cell.method == UNTRAINED for cell in self.cells)

    @property
    def reading(self) -> str | None:
        found = {cell.reading for cell in self.cells}
        return found.pop() if len(found) == 1 else None


def lines_of(cells: Sequence[PlannedCell], metrics: Sequence[Metric], axes: Axes) -> list[Line]:
    """One line per combination of the row keys: in the order of the plan, or of the keys where a user chose them."""
    found: dict[Coordinates, dict[Coordinates, Place]] = {}
    for cell in cells:
        for metric in metrics:
            row, column = (tuple(value(cell, metric, key) for key in keys) for keys in (axes.rows, axes.columns))
            found.setdefault(row, {})[column] = Place(cell, metric)
    order = _ranked(found, _ranks(cells, metrics, axes.rows)) if axes.given else list(found)
    return [Line(at, found[at]) for at in order]


def sorted_lines(lines: Sequence[Line], samples: Mapping[CellKey, Sample], *, higher_is_better: bool) -> list[Line]:
    """Best first by the mean over a line's cells; untrained networks stand on top, lines without a value at the end."""
    sign = -1 if higher_is_better else 1

    def key(line: Line) -> tuple[bool, bool, float]:
        means = [samples[cell.key].mean for cell in line.cells if cell.key in samples]
        return not line.untrained, not means, sign * sum(means) / max(len(means), 1)

    return sorted(lines, key=key)


def columns_of(
    lines: Sequence[Line], metrics: Sequence[Metric], axes: Axes, compared: Sequence[str]
) -> dict[Coordinates, Column]:
    """The columns by their coordinates, in the order of their keys, without differences."""
    cells = [cell for line in lines for cell in line.cells]
    ranks = _ranks(sorted(cells, key=lambda cell: cell.key[1]), metrics, axes.columns)
    found = _ranked({at: None for line in lines for at in line.places}, ranks)
    silent = [index for index, key in enumerate(axes.columns) if key == "dataset" and len(ranks[index]) == 1]
    silent = silent if len(axes.columns) > 1 else []
    return {at: _column(at, axes.columns, silent, axis_labels(compared)) for at in found}


def _column(at: Coordinates, keys: Sequence[str], silent: Sequence[int], labels: Mapping[str, str]) -> Column:
    known = dict(zip(keys, at, strict=True))
    texts = {key: header(key, each, labels) for key, each in known.items()}
    headers = tuple(texts[key] for index, key in enumerate(keys) if index not in silent)
    metric = known.get("metric")
    ordered = sorted(keys, key=lambda key: {"dataset": 0, "metric": 2}.get(key, 1))
    name = " ".join(_in_name(key, known[key], texts[key]) for key in ordered)
    short = metric.label if metric and headers[-1] == texts["metric"] else headers[-1]
    return Column(headers, short, name, known.get("dataset"), metric)


def _in_name(key: str, each: Any, text: str) -> str:
    if key != "metric":
        return text
    return f"{each.title} selected on test" if each.selected_on_test else str(each.title)


def header(key: str, each: Any, labels: Mapping[str, str]) -> str:
    """What a header says of a coordinate: "MAP@R (%)", "glyphs", "ratio 0.5"."""
    if key == "metric":
        return f"{each.label}{each.flag}" + (f" ({each.unit})" if each.unit else "")
    if key in labels and key != "readout":
        text = value_text(each)
        return f"{labels[key]} {text}" if text else f"no {labels[key]}"
    return value_text(each) or "–"


def _ranks(cells: Iterable[PlannedCell], metrics: Sequence[Metric], keys: Sequence[str]) -> list[dict[Any, int]]:
    """For every key the place of each value in the order of appearance; a parameter that is missing comes first."""
    cells = list(cells)
    found: list[dict[Any, int]] = []
    for key in keys:
        values = metrics if key == "metric" else [value(cell, metrics[0], key) for cell in cells]
        distinct = sorted(dict.fromkeys(values), key=lambda each: each is not None)
        found.append({each: rank for rank, each in enumerate(distinct)})
    return found


def _ranked(found: Iterable[Coordinates], ranks: Sequence[Mapping[Any, int]]) -> list[Coordinates]:
    return sorted(found, key=lambda at: tuple(rank[each] for rank, each in zip(ranks, at, strict=True)))
