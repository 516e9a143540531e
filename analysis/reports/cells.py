"""The section of curves: a card for every cell."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from analysis.cells import CellKey, PlannedCell, planned_cells
from analysis.labels import is_missing, setting_text
from analysis.loading import Results
from analysis.metrics import Metric, describe
from analysis.reports.curves import COLORS, Line, Scale, drawing, extent, lines_by_run, number, scale_of
from analysis.reports.markup import escaped, section, tag, text

LOSS = "train_loss"


@dataclass(frozen=True)
class Drawn:
    """One metric of one cell.

    Attributes:
        group: cells of one group share a scale.
    """

    metric: Metric
    group: tuple[str, ...]
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Card:
    """What is known of one cell."""

    cell: PlannedCell
    seeds: str
    drawn: tuple[Drawn, ...]


def curves(results: Results) -> str:
    """The section; one card per cell, in the order of the table."""
    cards = _cards(results)
    scales = _scales(cards)
    ends = _ends(cards)
    studies = len(results.sources) > 1
    shown = "\n".join(_card(card, scales, ends[card.cell.dataset], studies) for card in cards)
    return section(
        "curves",
        "Curves of every cell",
        text("p", _LEGEND, class_="note"),
        _legend(_seeds(results)),
        tag("div", f"\n{shown}\n", class_="cards"),
    )


_LEGEND = (
    "One line per run, by epoch; a dot marks the epoch that was selected. Cells of one dataset share the scale of a "
    "metric, and of the training loss where they have the same loss. Below each: its least and greatest value."
)


def _cards(results: Results) -> list[Card]:
    cells = planned_cells(results)
    names = list(dict.fromkeys([*(_measured(results, plan) for plan in results.plans.values()), LOSS]))
    found = {name: lines_by_run(results.epochs, name) for name in names}
    colors = {seed: index % COLORS for index, seed in enumerate(_seeds(results))}
    columns = ["study", "cell", "seed", "run_id", "status", "selected_epoch", "loss"]
    groups = results.replicates[columns].groupby(["study", "cell"], sort=False)
    rows = {(str(each["study"].iloc[0]), int(each["cell"].iloc[0])): each for _, each in groups}
    return [_made(cell, rows[cell.key], found, colors, _measured(results, results.plans[cell.study])) for cell in cells]


def _measured(results: Results, plan: Mapping[str, Any]) -> str:
    """The column that epochs are selected by; where nothing is validated, the same on test classes."""
    by = plan.get("protocol", {}).get("select_by", "map_at_r")
    known = [name for name in (f"val_{by}", f"test_{by}") if name in results.epochs.columns]
    return next((name for name in known if results.epochs[name].notna().any()), f"val_{by}")


def _seeds(results: Results) -> list[int]:
    return sorted({int(seed) for seed in results.replicates["seed"]})


def _made(cell: PlannedCell, rows: Any, found: Mapping[str, Any], colors: Mapping[int, int], measured: str) -> Card:
    records = rows.drop_duplicates("run_id").to_dict("records")
    loss = next((str(row["loss"]) for row in records if isinstance(row["loss"], str)), "")
    drawn = [
        Drawn(describe(name), (name, cell.dataset, *extra), tuple(_lines(records, found[name], colors)))
        for name, extra in ((measured, ()), (LOSS, (loss,)))
    ]
    return Card(cell, _progress(rows), tuple(each for each in drawn if each.lines))


def _lines(records: Sequence[Any], found: Mapping[Any, Any], colors: Mapping[int, int]) -> Iterator[Line]:
    for row in records:
        curve = found.get((row["study"], row["run_id"]))
        if curve is not None:
            epoch = row["selected_epoch"]
            selected = None if is_missing(epoch) else int(epoch)
            yield Line(colors[int(row["seed"])], curve[0], curve[1], selected)


def _progress(rows: Any) -> str:
    """ "3 of 5 runs, 1 failed"."""
    counts = rows.drop_duplicates("run_id")["status"].value_counts()
    total = int(counts.sum())
    parts = [f"{int(counts.get('complete', 0))} of {total} run{'s' * (total != 1)}"]
    parts += [f"{int(counts[name])} {name}" for name in ("failed", "pruned") if name in counts]
    return ", ".join(parts)


def _scales(cards: Sequence[Card]) -> dict[tuple[str, ...], Scale]:
    groups: dict[tuple[str, ...], list[Line]] = {}
    for card in cards:
        for drawn in card.drawn:
            groups.setdefault(drawn.group, []).extend(drawn.lines)
    return {group: scale for group, lines in groups.items() if (scale := scale_of(lines))}


def _ends(cards: Sequence[Card]) -> dict[str, float]:
    """The last epoch of any run, by dataset."""
    ends = {card.cell.dataset: 1.0 for card in cards}
    for card in cards:
        lasts = [float(line.x[-1]) for drawn in card.drawn for line in drawn.lines]
        ends[card.cell.dataset] = max([ends[card.cell.dataset], *lasts])
    return ends


def _card(card: Card, scales: Mapping[tuple[str, ...], Scale], last: float, studies: bool) -> str:
    cell = card.cell
    setting = ", ".join(filter(None, [cell.study if studies else "", cell.dataset, setting_text(dict(cell.axes))]))
    panels = [_panel(drawn, scales[drawn.group], last) for drawn in card.drawn]
    body = "".join(panels) or text("p", _nothing(card), class_="note")
    head = text("h3", cell.label) + text("p", f"{setting} · {card.seeds}", class_="where")
    words = f"{cell.label} {setting}"
    where = cell_id(cell.key)
    return tag("article", head + body, class_="card", data_filter=words, data_dataset=cell.dataset, id=where)


def cell_id(key: CellKey) -> str:
    """Where links find a cell's card."""
    return f"cell-{key[0]}-{key[1]}".replace(" ", "_")


def _nothing(card: Card) -> str:
    untrained = "complete" not in card.seeds and card.seeds.startswith("0 of")
    return "No run is finished yet." if untrained else "Nothing was recorded by epoch."


def _panel(drawn: Drawn, scale: Scale, last: float) -> str:
    metric, (low, high) = drawn.metric, (_shown(drawn.metric, value) for value in extent(drawn.lines))
    unit = f" {metric.unit}" if metric.unit else ""
    selected = sorted({line.selected for line in drawn.lines if line.selected is not None})
    epochs = f"; selected epochs {', '.join(map(str, selected))}" if selected else ""
    runs = f"{len(drawn.lines)} run{'s' * (len(drawn.lines) != 1)}"
    words = f"{metric.label} of {runs} over {last:g} epochs: from {low} to {high}{unit}{epochs}"
    ends = (_shown(metric, scale.low), _shown(metric, scale.high))
    picture = drawing(drawn.lines, scale, last, description=words, labels=ends)
    below = f"{low} to {high}{unit}{', beyond the scale' if scale.cut and _beyond(drawn, scale) else ''}"
    caption = text("b", metric.label) + " " + text("span", below)
    return tag("figure", picture + tag("figcaption", caption), class_="curve")


def _shown(metric: Metric, value: float) -> str:
    return number(metric.factor * value, min(metric.decimals, 2))


def _beyond(drawn: Drawn, scale: Scale) -> bool:
    low, high = extent(drawn.lines)
    return low < scale.low or high > scale.high


def _legend(seeds: Sequence[int]) -> str:
    if len(seeds) < 2:
        return ""
    swatch = '<svg viewBox="0 0 20 8" aria-hidden="true"><path class="s{}" d="M2 4h16"/></svg>'
    shown = "".join(
        tag("li", swatch.format(index % COLORS) + escaped(f"seed {seed}")) for index, seed in enumerate(seeds[:COLORS])
    )
    more = tag("li", escaped(f"colours repeat for {len(seeds) - COLORS} more")) if len(seeds) > COLORS else ""
    return tag("ul", shown + more, class_="legend")
