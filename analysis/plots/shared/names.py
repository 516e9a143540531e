"""What a figure calls its cells."""

from collections import Counter
from collections.abc import Sequence

from analysis.cells import CellKey, PlannedCell
from analysis.labels import setting_text


def cell_labels(cells: Sequence[PlannedCell]) -> dict[CellKey, str]:
    """The method; its setting where it has several on a dataset; the study where two studies have the same otherwise.

    Cells of one label and several datasets belong together.
    """
    several = Counter((cell.study, cell.method, cell.dataset) for cell in cells)
    labels = {}
    for cell in cells:
        setting = setting_text(dict(cell.axes)) if several[cell.study, cell.method, cell.dataset] > 1 else ""
        labels[cell.key] = f"{cell.method} ({setting})" if setting else cell.method
    taken = Counter((labels[cell.key], cell.dataset) for cell in cells)
    twice = {label for (label, _), count in taken.items() if count > 1}
    return {cell.key: _with_study(labels[cell.key], cell.study, twice) for cell in cells}


def _with_study(label: str, study: str, twice: set[str]) -> str:
    if label not in twice:
        return label
    return f"{label[:-1]}, {study})" if label.endswith(")") else f"{label} ({study})"
