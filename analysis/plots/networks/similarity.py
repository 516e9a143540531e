"""How near the proxies of classes lie to each other."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from analysis.cells import Floats
from analysis.plots.shared.style import COLUMN, DIVERGING, PAGE, new_figure, style, wrapped
from trainables.errors import DmlStudyError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_NAMED = 60
"""Classes up to which each has its name."""


def proxy_similarity(
    proxies: NDArray[Any], names: Sequence[str], *, title: str = "", notes: Sequence[str] = ()
) -> "Figure":
    """Cosines of all pairs of class proxies, similar classes beside each other.

    Args:
        proxies: [C, D] or [C, K, D]; of K centres per class the mean of their directions is drawn.
        names: [C] of the classes.
        title: above the picture.
        notes: what the small text below it says first.

    Raises:
        DmlStudyError: fewer than two classes, or proxies without direction.
    """
    cosines = proxy_cosines(proxies)
    order = similar_order(cosines)
    shown = cosines[np.ix_(order, order)]
    labels = [names[index] for index in order]
    off = cosines[~np.eye(len(cosines), dtype=bool)]
    width = COLUMN if len(labels) <= 15 else PAGE
    text = f"{len(labels)} classes, ordered by average linkage; cosine of two classes: {_range(off)}"
    with style():
        figure, body = new_figure(width, width * 0.86, foot=[*notes, text])
        ax = body.subplots()
        reach = float(np.abs(off).max())
        image = ax.imshow(shown, cmap=DIVERGING, vmin=-reach, vmax=reach, interpolation="nearest")
        body.colorbar(image, ax=ax, shrink=0.9, aspect=30, pad=0.02, extend="max").set_label("Cosine")
        ax.set_title(wrapped(title, int(width * 13)))
        ax.spines[:].set_visible(False)
        ax.tick_params(length=0, labelsize=6.0)
        if len(labels) <= _NAMED:
            ax.set_xticks(range(len(labels)), [short_name(label) for label in labels], rotation=90)
            ax.set_yticks(range(len(labels)), [short_name(label) for label in labels])
        else:
            ax.set_xlabel("Class")
            ax.set_ylabel("Class")
        return figure


def short_name(name: str) -> str:
    """A class name that fits beside a picture."""
    return name if len(name) <= 32 else name[:15] + "…" + name[-16:]


def _range(off: Floats) -> str:
    low, middle, high = np.quantile(off, (0.0, 0.5, 1.0))
    return f"median {middle:.2f}, from {low:.2f} to {high:.2f}; colours end at the largest off the diagonal"


def proxy_cosines(proxies: NDArray[Any]) -> Floats:
    """[C, C]; of several centres per class, the cosines of their mean directions.

    Raises:
        DmlStudyError: fewer than two classes, or proxies without direction.
    """
    rows = np.asarray(proxies, dtype=float)
    means = _unit(_unit(rows).mean(axis=1)) if rows.ndim == 3 else _unit(rows)
    if len(means) < 2 or not np.isfinite(means).all():
        raise DmlStudyError(
            "similarity needs the proxies of two classes or more, none of them zero or without a number"
        )
    return np.clip(means @ means.T, -1.0, 1.0)


def _unit(rows: Floats) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(rows / np.linalg.norm(rows, axis=-1, keepdims=True))


def similar_order(cosines: Floats) -> list[int]:
    """An order of the classes in which similar ones are neighbours: the leaves of average linkage."""
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    distances = 1 - (cosines + cosines.T) / 2
    np.fill_diagonal(distances, 0.0)
    tree = linkage(
        squareform(np.maximum(distances, 0.0), checks=False), "average", optimal_ordering=len(cosines) <= 500
    )
    return [int(index) for index in leaves_list(tree)]
