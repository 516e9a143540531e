"""What a kind of figure is: a name, a sentence, and a function of results and options."""

from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from analysis.loading import Results


@dataclass(frozen=True)
class PlotOptions:
    """What a user asked for; a kind uses what it understands.

    Attributes:
        metric: as in `comparison_table`.
        x, y: compared parameters along the axes.
        show: values, or differences to each method's baseline.
        methods: those to draw; all where empty.
        spread: what lines, bars and ± show; each kind's own default where empty.
    """

    metric: str = "map_at_r"
    x: str | None = None
    y: str | None = None
    show: Literal["value", "difference"] = "value"
    methods: tuple[str, ...] | None = None
    spread: Literal["interval", "std"] | None = None


@dataclass(frozen=True)
class Plot:
    """One kind of figure.

    Attributes:
        name: what follows `--kind`, and how its files begin.
        summary: what it shows, in one line.
        draw: raises DmlStudyError with the reason where a study has no data for it. Imports what it needs itself, so
            that kinds can be listed without matplotlib.
        about: the metric that files are named after.
    """

    name: str
    summary: str
    draw: "Callable[[Results, PlotOptions], Figure | list[Figure]]"
    about: Callable[[PlotOptions], str] = attrgetter("metric")
