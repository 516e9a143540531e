"""The cells of the plans and their values: all of them, or per method the one that validation chose."""

from analysis.cells.choice import Choice, choose_cells
from analysis.cells.planned import READOUT, UNTRAINED, PlannedCell, method_labels, planned_cells
from analysis.cells.samples import EMPTY, CellKey, Floats, Sample, cell_samples, valid_values

__all__ = [
    "EMPTY",
    "READOUT",
    "UNTRAINED",
    "CellKey",
    "Choice",
    "Floats",
    "PlannedCell",
    "Sample",
    "cell_samples",
    "choose_cells",
    "method_labels",
    "planned_cells",
    "valid_values",
]
