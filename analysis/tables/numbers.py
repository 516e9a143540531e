"""The numbers of a table: summaries, the best of each contest, differences to baselines."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from analysis.cells import EMPTY, UNTRAINED, CellKey, Sample
from analysis.metrics import Metric
from analysis.statistics import Comparison, bold_cells, compare_all, second_best, summarize
from analysis.tables.axes import Axes, value
from analysis.tables.model import Cell, Column
from analysis.tables.places import Coordinates, Line, Place

Samples = Mapping[str, Mapping[CellKey, Sample]]
"""Column of the metric -> cell -> sample."""
Position = tuple[int, Coordinates]
"""Number of the line, coordinates of the column."""


@dataclass(frozen=True)
class _Entry:
    """A place with its sample. `contest` has the rivals, of all readings."""

    place: Place
    sample: Sample
    contest: Coordinates

    @property
    def reading(self) -> str | None:
        return self.place.cell.reading


def filled(
    lines: Sequence[Line],
    columns: Mapping[Coordinates, Column],
    samples: Samples,
    axes: Axes,
    deltas: Sequence[Metric],
    mark: str,
) -> tuple[tuple[Column, ...], list[tuple[Cell, ...]]]:
    """The columns, some of them with differences, and the cells of every line."""
    entries = dict(_entries(lines, samples, axes))
    bold = _best(entries) if mark != "none" else set()
    second = _second(entries) if mark == "second" else set()
    compared = _compared(entries, samples, deltas)
    with_delta = {at for _, at in compared}

    def cell(row: int, at: Coordinates) -> Cell:
        entry, here = entries.get((row, at)), (row, at)
        if entry is None:
            metric = columns[at].metric or lines[row].at[axes.rows.index("metric")]
            return Cell(summarize([]), metric)
        return Cell(
            summarize(entry.sample.values),
            entry.place.metric,
            bold=here in bold,
            second=here in second,
            delta=compared.get(here),
            key=entry.place.cell.key,
            baseline=entry.place.cell.baseline,
            dataset=entry.place.cell.dataset,
            contest=(entry.contest, entry.reading),
        )

    shown = tuple(replace(column, delta=at in with_delta) for at, column in columns.items())
    return shown, [tuple(cell(row, at) for at in columns) for row in range(len(lines))]


def _entries(lines: Sequence[Line], samples: Samples, axes: Axes) -> Iterator[tuple[Position, _Entry]]:
    opposite = _opposite(lines, axes)
    for row, line in enumerate(lines):
        for at, place in line.places.items():
            cell, metric = place.cell, place.metric
            contest = (cell.dataset, metric, *(value(cell, metric, key) for key in opposite))
            sample = samples[metric.column].get(cell.key, EMPTY)
            yield (row, at), _Entry(place, sample, contest)


def _opposite(lines: Sequence[Line], axes: Axes) -> tuple[str, ...]:
    """Rivals are equal in the keys that stand across from the methods: in the columns where methods are rows. A single
    method's settings are all rivals."""
    methods = {cell.method for line in lines for cell in line.cells} - {UNTRAINED}
    if len(methods) < 2:
        return ()
    return axes.columns if "method" in axes.rows else axes.rows


def _contests(entries: Mapping[Position, _Entry]) -> list[dict[Position, _Entry]]:
    found: dict[Coordinates, dict[Position, _Entry]] = {}
    for position, entry in entries.items():
        found.setdefault(entry.contest, {})[position] = entry
    return list(found.values())


def _best(entries: Mapping[Position, _Entry]) -> set[Position]:
    """The best of each reading; one without a reading, the untrained network's, has to be the best of all."""
    marked: set[Position] = set()
    for rivals in _contests(entries):
        readings: list[str | None] = [*dict.fromkeys(each.reading for each in rivals.values() if each.reading)] or [
            None
        ]
        higher = next(iter(rivals.values())).place.metric.higher_is_better
        best = {}
        for reading in readings:
            values = [each.sample if each.reading in (None, reading) else EMPTY for each in rivals.values()]
            best[reading] = dict(zip(rivals, bold_cells(values, higher_is_better=higher), strict=True))
        marked |= {
            position
            for position, each in rivals.items()
            if all(best[reading][position] for reading in readings if each.reading in (None, reading))
        }
    return marked


def _second(entries: Mapping[Position, _Entry]) -> set[Position]:
    marked: set[Position] = set()
    for rivals in _contests(entries):
        for reading in dict.fromkeys(each.reading for each in rivals.values()):
            members = {position: each for position, each in rivals.items() if each.reading == reading}
            higher = next(iter(members.values())).place.metric.higher_is_better
            seconds = second_best([each.sample for each in members.values()], higher_is_better=higher)
            marked |= {position for position, second in zip(members, seconds, strict=True) if second}
    return marked


def _compared(
    entries: Mapping[Position, _Entry], samples: Samples, deltas: Sequence[Metric]
) -> dict[Position, Comparison]:
    """Differences to baselines, where a method has one."""
    pairs = {}
    for position, entry in entries.items():
        metric, baseline = entry.place.metric, entry.place.cell.baseline
        if metric in deltas and baseline is not None:
            pairs[position] = (entry.sample, samples[metric.column].get(baseline, EMPTY))
    return dict(zip(pairs, compare_all(list(pairs.values())), strict=True))
