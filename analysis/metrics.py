"""What a metric is called, in which column it stands, and how it is shown."""

import re
from collections.abc import Collection
from dataclasses import dataclass

from trainables.errors import DmlStudyError
from trainables.metrics import LABEL_DISTANCE, lower_is_better
from trainables.spelling import nearest

DEFAULT_METRICS = ("recall_at_1", "r_precision", "map_at_r")
SELECTED_ON_TEST = "best_test_"

_SCORE = re.compile(r"(test|val|best_test)_(.+)")
_SUFFIX = {"val_": ", validation", SELECTED_ON_TEST: ", best on test"}
_NAMES = {
    **{"map_at_r": "MAP@R", "r_precision": "R-precision", "map": "MAP", "mrr": "MRR", "nmi": "NMI", "ami": "AMI"},
    "images_per_second": "Images per second",
    "selected_steps": "Steps to the selected epoch",
    "selected_time": "Training time to the selected epoch",
}
_AT_DEPTH = {"recall": "Recall", "precision": "Precision", "ndcg": "nDCG", "label_distance": "Label distance"}
_OTHER_DISTANCE = re.compile(r"(.+)_(cosine|euclidean|lipschitz)")
"""What `dml-study evaluate --distance` added beside the run's own distance."""
_DEFORMED = re.compile(r"(.+)_(cutout|pixel_dropout|zoom_in|zoom_out|rotation|shear|noise|blur)_([\d.]+)")
"""Measured on test images that were deformed so strongly (`protocol.deformations`)."""
_COUNTS = ("selected_epoch", "selected_steps", "steps", "epochs_trained", "attempts")
_LOWER_IS_BETTER = re.compile(r".*(loss|seconds|attempts)$|selected_(epoch|steps)$")


@dataclass(frozen=True)
class Metric:
    """One column of a table or figure.

    Attributes:
        column: its name in `Results.runs` or `Results.epochs`.
        label: how tables and figures call it.
        unit: "%", "s" or empty.
        factor: from the stored to the shown number; scores are stored as fractions and shown in percent.
    """

    column: str
    label: str
    unit: str
    factor: float
    decimals: int
    higher_is_better: bool

    @property
    def selected_on_test(self) -> bool:
        """Best epoch on the test classes: optimistic, and flagged wherever it is shown."""
        return self.column.startswith(SELECTED_ON_TEST)

    @property
    def flag(self) -> str:
        """Mark behind its name that a footnote explains."""
        return "†" if self.selected_on_test else ""

    @property
    def title(self) -> str:
        """Label with its unit: "MAP@R (%)"."""
        return f"{self.label} ({self.unit})" if self.unit else self.label

    def text(self, value: float) -> str:
        """A stored value as it is shown: "51.20 %"."""
        return f"{self.factor * value:.{self.decimals}f} {self.unit}".rstrip()


def find_metric(name: str, columns: Collection[str], *, prefix: str = "test_") -> Metric:
    """The metric that a user's name means.

    Args:
        name: "map_at_r" for the column `<prefix>map_at_r`, or a column as it is, "val_map_at_r" or "wall_seconds".
        columns: what the data have.
        prefix: "test_" for runs, "val_" for learning curves.

    Raises:
        DmlStudyError: no such column; the message has the nearest spelling.
    """
    for column in (prefix + name, name):
        if column in columns:
            return describe(column)
    known = sorted({column.removeprefix(prefix) for column in columns})
    raise DmlStudyError(f"metric '{name}' is in none of the results; {nearest(name, known)}")


def describe(column: str) -> Metric:
    """Label, unit and direction of a column, from its name alone."""
    score = _SCORE.fullmatch(column)
    if score:
        prefix, base = score[1] + "_", score[2]
        label = _label(base) + _SUFFIX.get(prefix, "")
        if base.startswith(LABEL_DISTANCE):  # in the unit of the dataset's labels, which the name does not tell
            return Metric(column, label, "", 1.0, 2, higher_is_better=not lower_is_better(base))
        return Metric(column, label, "%", 100.0, 2, higher_is_better=True)
    lower = _LOWER_IS_BETTER.fullmatch(column) is not None
    if column.endswith("_seconds"):
        return Metric(column, _label(column.removesuffix("_seconds") + "_time"), "s", 1.0, 1, not lower)
    return Metric(column, _label(column), "", 1.0, 1 if column in _COUNTS else 4, not lower)


def _label(name: str) -> str:
    if other := _OTHER_DISTANCE.fullmatch(name):
        return f"{_label(other[1])}, {other[2]} distance"
    if deformed := _DEFORMED.fullmatch(name):
        return f"{_label(deformed[1])}, {deformed[2].replace('_', ' ')} {deformed[3]}"
    at_depth = re.fullmatch(rf"({'|'.join(_AT_DEPTH)})_at_(\d+)", name)
    if at_depth:
        return f"{_AT_DEPTH[at_depth[1]]}@{at_depth[2]}"
    return _NAMES.get(name, name.replace("_", " ").capitalize())
