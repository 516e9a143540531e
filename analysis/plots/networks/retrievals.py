"""What queries find: a gallery of neighbours, and which classes are taken for which."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from analysis.cells import Floats
from analysis.plots.networks.similarity import short_name, similar_order
from analysis.plots.shared.style import COLUMN, PAGE, PALETTE, SEQUENTIAL, new_figure, style, wrapped
from trainables.errors import DmlStudyError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_RIGHT, _WRONG = PALETTE[0], PALETTE[1]


@dataclass(frozen=True)
class Picture:
    """An image, uint8 [C, H, W] of one or three channels, and its class."""

    image: NDArray[np.uint8]
    name: str


def retrieval_gallery(
    queries: Sequence[Picture], neighbours: Sequence[Sequence[Picture]], *, notes: Sequence[str] = ()
) -> "Figure":
    """A row per query: the query, then its neighbours, nearest first; right ones framed and ticked, wrong ones crossed.

    Args:
        queries: [Q]
        neighbours: [Q][k] of every query.
        notes: what the small text below the picture says first.

    Raises:
        DmlStudyError: there is no query.
    """
    if not queries:
        raise DmlStudyError("a gallery needs a query")
    across = 1 + max(map(len, neighbours))
    width = COLUMN if across <= 4 else PAGE
    side = width / across
    text = "left: queries; then their neighbours, nearest first. Solid, ✓: of the query's class; dashed, ✗: of another"
    with style():
        figure, body = new_figure(width, (side + 0.28) * len(queries), foot=[text, *notes])
        subplots = body.subplots(len(queries), across, squeeze=False)
        for row, query, found in zip(subplots, queries, neighbours, strict=True):
            _show(row[0], query, "", "black", int(side * 15))
            for ax, each in zip(row[1:], found, strict=False):
                right = each.name == query.name
                _show(ax, each, "✓ " if right else "✗ ", _RIGHT if right else _WRONG, int(side * 15))
                for spine in ax.spines.values():
                    spine.set_linestyle("-" if right else (0, (2, 1.5)))
            for unused in row[1 + len(found) :]:
                unused.set_visible(False)
        return figure


def _show(ax: "Axes", picture: Picture, mark: str, color: str, characters: int) -> None:
    pixels = np.moveaxis(picture.image, 0, -1)
    look: dict[str, Any] = {"cmap": "gray", "vmin": 0, "vmax": 255} if pixels.shape[-1] == 1 else {}
    ax.imshow(pixels[..., 0] if pixels.shape[-1] == 1 else pixels, **look)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(True)
    ax.spines[:].set_color(color)
    ax.spines[:].set_linewidth(1.0 if color == "black" else 2.0)
    ax.set_title(_two_lines(mark + picture.name, characters), fontsize=6.0, pad=2.5, linespacing=0.95)


def _two_lines(name: str, characters: int) -> str:
    lines = wrapped(name, characters).split("\n")
    return "\n".join(lines) if len(lines) <= 2 else f"{lines[0]}\n…{name[1 - characters :]}"


def class_confusion(
    labels: NDArray[np.int64],
    found: NDArray[np.int64],
    names: Sequence[str],
    *,
    classes: int = 20,
    notes: Sequence[str] = (),
) -> "Figure":
    """Of which class the nearest neighbour is, for the classes that are mistaken most often.

    Args:
        labels: [N] class of every query.
        found: [N] class of its nearest neighbour.
        names: of the classes.
        classes: how many to draw.
        notes: what the small text below the picture says first.

    Raises:
        DmlStudyError: there is no query.
    """
    if not len(labels):
        raise DmlStudyError("a confusion of classes needs queries")
    kept = confused_classes(labels, found, classes)
    shares = np.array([[np.mean(found[labels == row] == column) for column in kept] for row in kept])
    wrong = float(np.mean(labels != found))
    text = (
        f"share of a class's queries (%) by the class of their nearest neighbour; rows sum to less than 100 where "
        f"other classes are taken; the {len(kept)} of {len(np.unique(labels))} classes most often mistaken; of all "
        f"queries {100 * wrong:.1f} % have a neighbour of another class"
    )
    width = COLUMN if len(kept) <= 6 else PAGE
    with style():
        figure, body = new_figure(width, 0.86 * width, foot=[*notes, text])
        ax = body.subplots()
        image = ax.imshow(100 * shares, cmap=SEQUENTIAL, vmin=0, vmax=100)
        body.colorbar(image, ax=ax, shrink=0.9, aspect=30, pad=0.02).set_label("Share of queries (%)")
        for (row, column), share in np.ndenumerate(shares):
            if share >= 0.005:
                color = "black" if share > 0.6 else "white"
                ax.text(column, row, f"{100 * share:.0f}", ha="center", va="center", fontsize=6.0, color=color)
        texts = [short_name(names[label]) for label in kept]
        ax.set_xticks(range(len(kept)), texts, rotation=90)
        ax.set_yticks(range(len(kept)), texts)
        ax.set_xlabel("Class of the nearest neighbour")
        ax.set_ylabel("Class of the query")
        ax.tick_params(length=0, labelsize=6.0)
        ax.spines[:].set_visible(False)
        return figure


def confused_classes(labels: NDArray[np.int64], found: NDArray[np.int64], count: int) -> list[int]:
    """Classes with most mistakes, as a query or as what is found in its place; similar ones are neighbours."""
    wrong = labels != found
    size = int(max(labels.max(), found.max())) + 1
    mistakes = np.bincount(labels[wrong], minlength=size) + np.bincount(found[wrong], minlength=size)
    present = np.unique(labels)
    worst = present[np.argsort(-mistakes[present], kind="stable")][:count]
    if len(worst) < 3:
        return [int(label) for label in worst]
    return [int(worst[index]) for index in similar_order(_affinity(labels, found, worst))]


def _affinity(labels: NDArray[np.int64], found: NDArray[np.int64], kept: NDArray[np.int64]) -> Floats:
    """[C, C] How often one is taken for the other."""
    shares = np.array([[np.mean(found[labels == row] == column) for column in kept] for row in kept])
    return np.asarray((shares + shares.T) / 2)
