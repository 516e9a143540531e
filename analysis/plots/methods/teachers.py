"""Gap to the teacher: what transfer gives a student, and what is left to its teacher."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any

from analysis.cells import EMPTY, CellKey, PlannedCell, Sample, cell_samples
from analysis.loading import Results
from analysis.metrics import Metric, find_metric
from analysis.plots.shared.charts import Spread, ends
from analysis.plots.shared.rows import row_layout, side_by_side, signed, value_column
from analysis.plots.shared.selection import Entry, Settings, entries, settled_cells
from analysis.plots.shared.style import GREY, PALETTE, style
from analysis.protocol.notes import protocol_line
from analysis.statistics import compare, summarize
from trainables.errors import DmlStudyError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Student:
    """A cell trained with a teacher.

    Attributes:
        without: the same network trained without transfer: its baseline; empty where it names none, or the teacher.
        teacher: the runs that it learnt from, by the student's seeds.
    """

    cell: PlannedCell
    student: Sample
    without: Sample
    teacher: Sample


def teacher_gap(
    results: Results,
    *,
    metric: str = "map_at_r",
    methods: Sequence[str] | None = None,
    settings: Settings = "chosen",
    spread: Spread = "interval",
) -> "list[Figure]":
    """A row per student, a panel per dataset: the student between the same network without transfer and its teacher.

    To the right stands the student's mean difference to its teacher with half the width of its 95 % t-interval.

    Args:
        results: one or several studies with methods of strategy `transfer`.
        metric: as in `comparison_table`.
        methods: the students to draw; all by default.
        settings: as in `learning_curves`.
        spread: of the student's line: 95 % t-interval of the mean, or one standard deviation over seeds.

    Returns:
        One figure, or several where there are more datasets than fit beside each other (three at most).

    Raises:
        DmlStudyError: no method has a teacher that was trained in these results, or none has a result.
    """
    found = find_metric(metric, set(results.replicates.columns))
    students = taught(results, found, settled_cells(results, methods, settings))
    if not any(student.student.n for student in students.values()):
        raise DmlStudyError(
            f"no student is complete with '{found.column}'"
            if students
            else "no method learns from a teacher that these results hold (`strategy: transfer`)"
        )
    cells = [student.cell for student in students.values()]
    with style():
        return _draw(students, found, spread, [_note(spread), protocol_line(results, [cell.key for cell in cells])])


def taught(results: Results, metric: Metric, cells: Sequence[PlannedCell]) -> dict[CellKey, Student]:
    """Cells whose runs have a teacher in these results, with the samples that they are held against."""
    samples = cell_samples(results.replicates, metric.column, factor=metric.factor)
    owners = _owners(results)
    students = {}
    for cell in cells:
        replicates = results.plans[cell.study]["cells"][cell.key[1]]["replicates"]
        parents = {each["seed"]: owners.get((cell.study, each.get("parent"))) for each in replicates}
        known = {seed: owner for seed, owner in parents.items() if owner is not None}
        if known:
            teachers = {key for key, _ in known.values()}
            without = EMPTY if cell.baseline is None or cell.baseline in teachers else samples.get(cell.baseline, EMPTY)
            student = samples.get(cell.key, EMPTY)
            students[cell.key] = Student(cell, student, without, _teachers(known, samples, student))
    return students


def _owners(results: Results) -> dict[tuple[str, Any], tuple[CellKey, int]]:
    """The cell and seed of every planned run."""
    columns = results.replicates[["study", "run_id", "cell", "seed"]]
    return {(study, run): ((study, int(cell)), int(seed)) for study, run, cell, seed in columns.itertuples(index=False)}


def _teachers(owners: Mapping[int, tuple[CellKey, int]], samples: Mapping[CellKey, Sample], student: Sample) -> Sample:
    """The teacher of each seed that a student is complete with."""
    known = {
        seed: (samples[key], at)
        for seed, (key, at) in owners.items()
        if seed in student.by_seed and key in samples and at in samples[key].by_seed
    }
    return Sample(
        {seed: sample.by_seed[at] for seed, (sample, at) in known.items()},
        {seed: sample.runs[at] for seed, (sample, at) in known.items()},
    )


def _note(spread: Spread) -> str:
    shown = "95 % t-interval" if spread == "interval" else "standard deviation over seeds"
    return (
        f"line: mean ± {shown} of the student; right: student minus its teacher, ± half the 95 % t-interval of the "
        "difference, each student paired with its own teacher"
    )


def _draw(students: Mapping[CellKey, Student], metric: Metric, spread: Spread, foot: Sequence[str]) -> "list[Figure]":
    rows = entries([student.cell for student in students.values()])
    shown = {
        student.cell.dataset: [_student(row, student.cell.dataset, students) for row in rows]
        for student in students.values()
    }
    texts = {dataset: [_text(student, metric) for student in found] for dataset, found in shown.items()}
    labels, every = [row.label for row in rows], [text for found in texts.values() for text in found]
    figures = []
    for datasets in side_by_side(list(shown), labels, every):
        layout = row_layout(labels, datasets, values=every, x_label=metric.title, foot=foot, legend_lines=1)
        for ax, dataset in zip(layout.axes, datasets, strict=True):
            for student, place in zip(shown[dataset], layout.places, strict=True):
                if student is not None:
                    _draw_row(ax, place, student, spread)
            value_column(ax, layout.places, texts[dataset], heading="to teacher", bold=[False] * len(rows))
            ax.margins(x=0.08)
        layout.add_legend()
        figures.append(layout.figure)
    return figures


def _student(row: Entry, dataset: str, students: Mapping[CellKey, Student]) -> Student | None:
    return students[row.cells[dataset].key] if dataset in row.cells else None


def _draw_row(ax: "Axes", place: float, student: Student, spread: Spread) -> None:
    marks: dict[str, tuple[Sample, Any]] = {
        "without transfer": (student.without, {"marker": "o", "markerfacecolor": "white", "color": GREY}),
        "teacher": (student.teacher, {"marker": "|", "color": "black", "markersize": 8.0, "markeredgewidth": 1.4}),
        "student": (student.student, {"marker": "D", "color": PALETTE[0]}),
    }
    means = [sample.mean for sample, _ in marks.values() if sample.n]
    if means:
        ax.plot([min(means), max(means)], [place, place], color="0.85", linewidth=3.0, solid_capstyle="butt", zorder=0)
    summary = summarize(student.student.values)
    low, high = ends(summary, spread)
    if isfinite(low):
        ax.plot([low, high], [place, place], color=PALETTE[0], linewidth=1.0)
    for label, (sample, look) in marks.items():
        if sample.n:
            ax.plot([sample.mean], [place], linestyle="", label=label, **{"markersize": 4.0, **look})


def _text(student: Student | None, metric: Metric) -> str:
    if student is None:
        return ""
    if not student.student.n:
        return "no result"
    gap = compare(student.student, student.teacher)
    if not gap.n:
        return ""
    reach = (gap.high - gap.low) / 2
    return signed(gap.difference, metric) + (f" ±{reach:.{metric.decimals}f}" if isfinite(reach) else "")
