"""Which figures a study gives, and the files that they are written to."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from trainables.errors import ConfigError, DmlStudyError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from analysis import Results
    from analysis.plots import PlotOptions

EVERY = "all"


def draw(results: "Results", kinds: Sequence[str], options: "PlotOptions", target: Path) -> list[Path]:
    """Draws and writes; without kinds of one's own, what a study has no data for is left out.

    Args:
        kinds: names of figures, or `all`; empty: a heatmap and learning curves.

    Raises:
        ConfigError: one file for several figures, or a place that cannot be written.
        DmlStudyError: the study has no data for a figure that was asked for by name, or for any.
    """
    from analysis.plots.drawing import drawn
    from analysis.plots.registry import PLOTS

    names = _names(kinds)
    single = target.suffix != "" and not target.is_dir()
    if single and len(names) > 1:
        raise ConfigError(
            f"--output {target} is one file, and there may be several figures; add --kind {names[0]} or another "
            "kind, or name a folder"
        )
    named = bool(kinds) and EVERY not in kinds
    figures, reasons = drawn(results, names, options)
    if not figures or (named and reasons):
        raise DmlStudyError("nothing to draw\n" + "\n".join(f"  {name}: {why}" for name, why in reasons.items()))
    places = {name: target if single else target / f"{name}-{PLOTS[name].about(options)}" for name in figures}
    return [file for name, found in figures.items() for file in _saved(found, places[name])]


def survey(results: "Results", options: "PlotOptions") -> list[tuple[str, str, str]]:
    """Name, summary, and why it cannot be drawn of every kind; the reason is empty where it can."""
    from analysis.plots import PLOTS
    from analysis.plots.drawing import drawn

    _, reasons = drawn(results, list(PLOTS), options)
    return [(plot.name, plot.summary, reasons.get(plot.name, "")) for plot in PLOTS.values()]


def _names(kinds: Sequence[str]) -> list[str]:
    from analysis.plots.registry import DEFAULT_PLOTS, PLOTS

    return list(PLOTS) if EVERY in kinds else list(dict.fromkeys(kinds or DEFAULT_PLOTS))


def _saved(figures: "Sequence[Figure]", path: Path) -> list[Path]:
    """One file, or the first keeps the name and the others are numbered from 2."""
    from analysis import plots

    files = []
    for number, figure in enumerate(figures, start=1):
        place = path if number == 1 else path.with_name(f"{path.stem}-{number}{path.suffix}")
        try:
            files += plots.save(figure, place)
        except OSError as error:
            raise ConfigError(f"{place} cannot be written: {error.strerror}; choose another --output") from error
    return files
