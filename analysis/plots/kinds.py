"""What a kind of figure is: a name, a sentence, and a function of results and options."""

from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from analysis.loading import Results

    Draw = Callable[["Results", "PlotOptions"], Figure | list[Figure]]

Spread = Literal["interval", "std"]


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
    spread: Spread | None = None


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
    draw: "Draw"
    about: Callable[[PlotOptions], str] = attrgetter("metric")


def drawn_by(function: str, *, spread: Spread | None = None) -> "Draw":
    """Draws with a function of `analysis.plots` that takes the metric and the methods, found when it is called.

    Args:
        spread: what its lines and bars show unless asked otherwise; None for a function that shows none.
    """

    def draw(results: "Results", options: PlotOptions) -> "Figure | list[Figure]":
        from analysis import plots

        asked = {} if spread is None else {"spread": options.spread or spread}
        figure: Callable[..., Figure | list[Figure]] = getattr(plots, function)
        return figure(results, metric=options.metric, methods=options.methods, **asked)

    return draw
