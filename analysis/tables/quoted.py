"""Published numbers below a table: marked, with the protocol that each was made under, and never the best."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from analysis.labels import enumeration
from analysis.loading import Results
from analysis.metrics import SELECTED_ON_TEST, Metric
from analysis.publications import SELECTIONS, Record, choose
from analysis.statistics import NAN, Comparison, Summary, compare_summaries, known_summary
from analysis.tables.model import Cell, Column, Row, Table
from analysis.tables.reproduction import reproduced
from trainables.errors import DmlStudyError

_READOUTS = {"mean": "mean of four fold models", "concat": "embeddings of four fold models side by side", "": ""}
_SAME = ("citation", "place", "backbone", "embedding_dim", "readout")
"""What rows of one protocol share."""


@dataclass(frozen=True)
class Quoted:
    """One row: the records of a method under one protocol, by column."""

    records: Mapping[int, Record]
    number: int

    @property
    def first(self) -> Record:
        return next(iter(self.records.values()))

    @property
    def name(self) -> str:
        """ "norm_softmax + proxy_synthesis, self_transfer †1"."""
        parts = [self.first["base_loss"], "" if self.first["method"] == "none" else self.first["method"]]
        name = " + ".join(filter(None, parts)) or "loss not stated"
        return f"{name}{', ' * bool(self.first['setting'])}{self.first['setting']} †{self.number}"


def with_published(table: Table, results: Results, filters: Mapping[str, Sequence[str]] | None = None) -> Table:
    """The table with what papers published on its datasets and metrics.

    Numbers of epochs that were chosen on test classes stand in the columns of such epochs where the table has them.
    Their differences are to the same paper's baseline; footnotes have the protocols, and how far the study's own rows
    are from the quoted ones of the same loss and method: with a test only where backbone, dimension, training classes
    and selection of the epoch match.

    Args:
        filters: as in `published`, for fewer of them: {"dataset": ["cars196"], "source": ["ps-readme"]}.

    Raises:
        DmlStudyError: a filter that nothing fits, or columns that do not stand for one dataset and metric each.
    """
    places = _places(table.columns)
    rows = _rows(choose({key: list(values) for key, values in (filters or {}).items()}), places)
    if not rows:
        shown = enumeration(dict.fromkeys(f"{dataset} {metric}" for dataset, metric, _ in places))
        raise DmlStudyError(f"no published number fits the table ({shown}) and the filters; try `dml-study published`")
    block = max((row.block for row in table.rows), default=0)
    quoted = tuple(_row(table, each, rows, block + each.number) for each in rows)
    columns = _with_deltas(table, quoted)
    notes = [_MEANING, *_protocols(rows), *reproduced(table, results, rows)]
    return replace(table, columns=columns, rows=(*table.rows, *quoted), footnotes=(*table.footnotes, *notes))


_MEANING = (
    "†1, †2, ...: quoted from publications, not trained here, and never bold. Their Δ is to the baseline of the same "
    "publication, with Welch's interval where its deviations and numbers of runs are printed."
)


def _with_deltas(table: Table, quoted: Sequence[Row]) -> tuple[Column, ...]:
    """Differences stand where the study has some; where it has none, wherever a paper has a baseline."""
    if "delta" not in table.shown or any(column.delta for column in table.columns):
        return table.columns
    known = [any(row.cells[index].delta for row in quoted) for index in range(len(table.columns))]
    return tuple(replace(column, delta=delta) for column, delta in zip(table.columns, known, strict=True))


def _places(columns: Sequence[Column]) -> dict[tuple[str, str, bool], int]:
    """Column by dataset, metric and whether epochs were chosen on test classes."""
    found: dict[tuple[str, str, bool], int] = {}
    for index, column in enumerate(columns):
        if column.dataset is None or column.metric is None:
            raise DmlStudyError("published numbers need datasets and metrics in the columns")
        key = (column.dataset, base_name(column.metric), column.metric.selected_on_test)
        if key in found:
            raise DmlStudyError(
                "published numbers need columns that stand for a dataset and a metric, and nothing else"
            )
        found[key] = index
    return found


def base_name(metric: Metric) -> str:
    """ "map_at_r" of the columns "test_map_at_r" and "best_test_map_at_r"."""
    return metric.column.removeprefix(SELECTED_ON_TEST).removeprefix("test_")


def _rows(records: Sequence[Record], places: Mapping[tuple[str, str, bool], int]) -> list[Quoted]:
    """Rows in the order of their publications."""
    found: dict[tuple[str, ...], dict[int, Record]] = {}
    for record in records:
        on_test = (record["dataset"], record["metric"], True)
        place = places.get((record["dataset"], record["metric"], False))
        if record["selection"] == "best_test":
            place = places.get(on_test, place)
        if place is not None:
            key = (*_protocol(record), record["source"], record["base_loss"], record["method"], record["setting"])
            found.setdefault(key, {}).setdefault(place, record)
    protocols = list(dict.fromkeys(key[: len(_SAME)] for key in found))
    rows = [Quoted(cells, protocols.index(key[: len(_SAME)]) + 1) for key, cells in found.items()]
    return sorted(rows, key=lambda row: row.number)


def _protocol(record: Record) -> tuple[str, ...]:
    return tuple(record[key] for key in _SAME)


def _row(table: Table, quoted: Quoted, rows: Sequence[Quoted], block: int) -> Row:
    labels = [""] * len(table.headings)
    labels[table.headings.index("Method") if "Method" in table.headings else 0] = quoted.name
    cells = []
    for index, column in enumerate(table.columns):
        metric = next(cell.metric for cell in table.cells_of(column))
        record = quoted.records.get(index)
        delta = _to_baseline(quoted, index, rows)
        cells.append(Cell(_summary(record), metric, delta=delta, dataset=column.dataset))
    return Row(tuple(labels), tuple(cells), block, quoted=True)


def _summary(record: Record | None) -> Summary:
    """In percent, as printed."""
    if record is None:
        return Summary(0, NAN, NAN, NAN, NAN)
    return known_summary(int(record["runs"] or 0), float(record["mean"]), float(record["std"] or "nan"))


def _to_baseline(quoted: Quoted, index: int, rows: Sequence[Quoted]) -> Comparison | None:
    record = quoted.records.get(index)
    if record is None or record["method"] == "none":
        return None
    for other in rows:
        baseline = other.records.get(index)
        same = other.number == quoted.number and other.first["method"] == "none"
        if baseline and same and baseline["base_loss"] == record["base_loss"]:
            return compare_summaries(_summary(record), _summary(baseline))
    return None


def _protocols(rows: Sequence[Quoted]) -> Iterator[str]:
    for number in dict.fromkeys(row.number for row in rows):
        members = [record for row in rows if row.number == number for record in row.records.values()]
        first = members[0]
        facts = [
            first["backbone"] or "backbone not stated",
            f"{first['embedding_dim']} dimensions" if first["embedding_dim"] else "dimension not stated",
            _READOUTS[first["readout"]],
            _runs(members),
            SELECTIONS[first["selection"]],
            *dict.fromkeys(record["remark"] for record in members if record["remark"]),
        ]
        yield f"†{number} {first['citation']}, {first['place']}: {'; '.join(filter(None, facts))}."


def _runs(members: Sequence[Record]) -> str:
    sizes = sorted({int(record["runs"]) for record in members if record["runs"]})
    if not sizes:
        return "number of runs not stated"
    return f"{' or '.join(map(str, sizes))} run{'s' * (sizes != [1])}"
