"""Embeddings of seen, synthetic and unseen classes in one picture."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from analysis.cells import Floats
from analysis.plots.shared.panels import legend_below, legend_height
from analysis.plots.shared.style import COLUMN, GREY, PAGE, PALETTE, new_figure, shade, style, wrapped
from trainables.errors import DmlStudyError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Projection = Literal["pca", "tsne"]
_MARKERS = ("o", "x", "*", "^", "s", "D")
_NAMED = 14
"""Classes up to which each has its name in the legend."""


@dataclass(frozen=True)
class EmbeddingGroup:
    """Points that share a marker.

    Attributes:
        name: "seen", "unseen", "synthetic", "proxies", ...
        embeddings: [N, D], raw.
        labels: [N] index into `class_names`.
        ordered: whether the classes are steps of an order, from dark to bright; else each has a colour of its own.
    """

    name: str
    embeddings: NDArray[Any]
    labels: NDArray[np.int64]
    class_names: Sequence[str]
    ordered: bool = False


def embedding_map(
    groups: Sequence[EmbeddingGroup],
    *,
    projection: Projection = "tsne",
    classes: int = 6,
    points: int = 60,
    seed: int = 0,
    title: str = "",
    notes: Sequence[str] = (),
) -> "Figure":
    """Directions of embeddings in the plane: a marker per group, a colour per class.

    Args:
        groups: in the order of the legend; a class of one name has one colour in all of them.
        projection: principal components of what is drawn, or t-SNE of it.
        classes: per group, drawn at random.
        points: per class and group, drawn at random.
        seed: of both draws, and of t-SNE.
        title: above the picture.
        notes: what the small text below it says first.

    Raises:
        DmlStudyError: fewer than five points, or groups of several dimensions.
    """
    chosen = [_some(group, classes, points, seed) for group in _with_classes_of_the_first(groups, classes, seed)]
    widths = {group.embeddings.shape[1] for group in chosen}
    total = sum(len(group.labels) for group in chosen)
    if len(widths) != 1 or total < 5:
        raise DmlStudyError(f"a map needs five embeddings of one dimension; there are {total}, of {sorted(widths)}")
    places = _projected(np.concatenate([_unit(group.embeddings) for group in chosen]), projection, seed)
    names = list(dict.fromkeys(group.class_names[label] for group in chosen for label in np.unique(group.labels)))
    labels = [group.name for group in chosen] + (names if len(names) <= _NAMED else [])
    width = COLUMN if len(labels) <= 8 else PAGE
    kind = "t-SNE" if projection == "tsne" else "first two principal components"
    things = "steps" if all(group.ordered for group in chosen) else "classes"
    drawn = f"{kind} of {total} embeddings of {len(names)} {things}, drawn at random, as directions"
    with style():
        figure, body = new_figure(width, 0.85 * width + legend_height(labels, width), foot=[*notes, drawn])
        ax = body.subplots()
        start = 0
        for index, group in enumerate(chosen):
            _draw(ax, group, places[start : start + len(group.labels)], names, _MARKERS[index % len(_MARKERS)])
            start += len(group.labels)
        _key(ax, chosen, names)
        ax.set_title(wrapped(title, int(width * 13)))
        ax.set_xticks([])
        ax.set_yticks([])
        ax.set_aspect("equal", "datalim")
        ax.spines[:].set_visible(True)
        legend_below(body, [ax], labels, width)
        return figure


def _with_classes_of_the_first(groups: Sequence[EmbeddingGroup], classes: int, seed: int) -> list[EmbeddingGroup]:
    """Groups of the classes of an earlier one (proxies of seen classes) keep the classes that were drawn there."""
    kept: dict[str, set[str]] = {}
    result = []
    for group in groups:
        earlier = next((each for names, each in kept.items() if set(group.class_names) == set(names.split("\0"))), None)
        wanted = earlier or set(_drawn_names(group, classes, seed))
        kept.setdefault("\0".join(group.class_names), wanted)
        inside = np.array([group.class_names[label] in wanted for label in group.labels], dtype=bool)
        result.append(replace(group, embeddings=group.embeddings[inside], labels=group.labels[inside]))
    return result


def _drawn_names(group: EmbeddingGroup, classes: int, seed: int) -> list[str]:
    found = np.unique(group.labels)
    random = np.random.default_rng(seed)
    picked = sorted(random.choice(found, size=min(classes, len(found)), replace=False))
    return [group.class_names[label] for label in picked]


def _some(group: EmbeddingGroup, classes: int, points: int, seed: int) -> EmbeddingGroup:
    random = np.random.default_rng(seed)
    rows = [np.flatnonzero(group.labels == label) for label in np.unique(group.labels)]
    drawn = [random.choice(each, size=min(points, len(each)), replace=False) for each in rows]
    kept = np.sort(np.concatenate(drawn)) if drawn else np.array([], dtype=int)
    return replace(group, embeddings=group.embeddings[kept], labels=group.labels[kept])


def _unit(rows: NDArray[Any]) -> Floats:
    found = np.asarray(rows, dtype=float)
    return np.asarray(found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12))


def _projected(rows: Floats, projection: Projection, seed: int) -> Floats:
    """[N, 2]"""
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    if projection == "pca":
        return np.asarray(PCA(2, svd_solver="full").fit_transform(rows))
    perplexity = min(30.0, (len(rows) - 1) / 3)
    return np.asarray(
        TSNE(2, init="pca", perplexity=perplexity, metric="cosine", random_state=seed).fit_transform(rows)
    )


def _draw(ax: "Axes", group: EmbeddingGroup, places: Floats, names: Sequence[str], marker: str) -> None:
    for label in np.unique(group.labels):
        color = _color(group, group.class_names[label], names)
        here = places[group.labels == label]
        size = {"*": 60.0, "x": 12.0}.get(marker, 8.0)
        edge: dict[str, Any] = {"linewidth": 0.9} if marker == "x" else {"edgecolor": "black", "linewidth": 0.25}
        ax.scatter(here[:, 0], here[:, 1], s=size, marker=marker, color=[color], **edge)


def _color(group: EmbeddingGroup, name: str, names: Sequence[str]) -> str | tuple[float, ...]:
    """Grey where a group does not tell its classes apart."""
    if group.ordered:
        return shade(group.class_names.index(name), len(group.class_names))
    return GREY if len(group.class_names) == 1 else PALETTE[names.index(name) % len(PALETTE)]


def _key(ax: "Axes", groups: Sequence[EmbeddingGroup], names: Sequence[str]) -> None:
    """Entries of the legend: markers of groups, then colours of classes."""
    for index, group in enumerate(groups):
        look: dict[str, Any] = {"linestyle": "", "color": GREY, "markersize": 5}
        ax.plot([], [], marker=_MARKERS[index % len(_MARKERS)], label=group.name, **look)
    for name in names:
        owner = next(place for place, group in enumerate(groups) if name in group.class_names)
        marker = _MARKERS[owner % len(_MARKERS)]
        color = _color(groups[owner], name, names)
        ax.plot([], [], linestyle="", marker=marker, color=color, markersize=4, label=name)
