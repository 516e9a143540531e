"""Which figures a study gives, and the files that they are written to."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from trainables.errors import ConfigError, DmlStudyError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from analysis import Results


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
        ConfigError: one file for several figures, or a place that cannot be written.
        DmlStudyError: the study has no data for a figure that was asked for by name, or for any.
    """
    makers = _makers(results, wanted)
    if wanted.kind == "all" and target.suffix and not target.is_dir():
        kinds = " or ".join(f"--kind {name}" for name in makers)
        raise ConfigError(
            f"--output {target} is one file, and there may be several figures; add {kinds}, or name a folder"
        )
    names = list(makers) if wanted.kind == "all" else [wanted.kind]
    files: list[Path] = []
    reasons: list[str] = []
    for name in names:
        try:
            figure = makers[name]()
        except DmlStudyError as reason:
            reasons.append(f"{name}: {reason}")
            continue
        single = target.suffix != "" and not target.is_dir()
        files += _saved(figure, target if single else target / f"{name}-{wanted.metric}")
    if not files:
        raise DmlStudyError("nothing to draw\n" + "\n".join(f"  {reason}" for reason in reasons))
    return files


def _saved(figure: "Figure", path: Path) -> list[Path]:
    from analysis import plots

    try:
        return plots.save(figure, path)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}; choose another --output") from error


def _makers(results: "Results", wanted: Wanted) -> dict[str, Callable[[], "Figure"]]:
    from analysis import plots

    show: Literal["value", "difference"] = "difference" if wanted.show == "difference" else "value"
    return {
        "heatmap": lambda: plots.heatmap(results, x=wanted.x, y=wanted.y, metric=wanted.metric, show=show),
        "curves": lambda: plots.learning_curves(results, metric=wanted.metric),
    }
