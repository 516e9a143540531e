"""Which figures a study gives, and the files that they are written to."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from trainables.errors import ConfigError, DmlStudyError
from trainables.parts import nearest

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from analysis import Results

_KINDS = ["all", "heatmap", "curves"]


@dataclass(frozen=True)
class Wanted:
    """What to draw."""

    kind: str
    metric: str
    x: str | None
    y: str | None
    show: str


def draw(results: "Results", wanted: Wanted, target: Path) -> list[Path]:
    """Draws and writes; with kind `all`, what a study has no data for is left out.

    Raises:
        ConfigError: an unknown kind.
        DmlStudyError: the study has no data for a figure that was asked for by name, or for any.
    """
    from analysis import plots

    makers = _makers(results, wanted)
    if wanted.kind != "all" and wanted.kind not in makers:
        raise ConfigError(f"--kind {wanted.kind}: {nearest(wanted.kind, _KINDS)}")
    names = list(makers) if wanted.kind == "all" else [wanted.kind]
    files: list[Path] = []
    reasons: list[str] = []
    for name in names:
        try:
            figure = makers[name]()
        except DmlStudyError as reason:
            reasons.append(f"{name}: {reason}")
            continue
        single = target.suffix != "" and len(names) == 1
        files += plots.save(figure, target if single else target / f"{name}-{wanted.metric}")
    if not files:
        raise DmlStudyError("nothing to draw; " + "; ".join(reasons))
    return files


def _makers(results: "Results", wanted: Wanted) -> dict[str, Callable[[], "Figure"]]:
    from analysis import plots

    show: Literal["value", "difference"] = "difference" if wanted.show == "difference" else "value"
    return {
        "heatmap": lambda: plots.heatmap(results, x=wanted.x, y=wanted.y, metric=wanted.metric, show=show),
        "curves": lambda: plots.learning_curves(results, metric=wanted.metric),
    }
