"""Several kinds of figures at once: those that a study has data for, and why not the others."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from analysis.loading import Results
from analysis.plots.kinds import PlotOptions
from analysis.plots.registry import PLOTS
from trainables.errors import DmlStudyError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def drawn(
    results: Results, names: Sequence[str], options: PlotOptions
) -> "tuple[dict[str, list[Figure]], dict[str, str]]":
    """Figures by kind, and the reasons of those that could not be drawn."""
    figures: dict[str, list[Figure]] = {}
    reasons: dict[str, str] = {}
    for name in names:
        try:
            found = PLOTS[name].draw(results, options)
        except DmlStudyError as reason:
            reasons[name] = str(reason)
            continue
        figures[name] = found if isinstance(found, list) else [found]
    return figures, reasons
