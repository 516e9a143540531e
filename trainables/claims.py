"""Claims, "A > B on metric", and the pairs of cells that they compare. Free of torch: planning imports it too."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["claimed_pairs", "counterpart", "keyed", "split_claim"]

_FORM = re.compile(r"(?P<pair>.+) on (?P<metric>\S+)")

Axes = Mapping[str, Any]
Keyed = dict[tuple[tuple[str, Any], ...], int]


def split_claim(text: str, methods: Sequence[str]) -> tuple[str, str, str] | None:
    """Better method, worse method and metric of a claim; None where the text is none. Methods need not be known."""
    match = _FORM.fullmatch(text.strip())
    pairs = _pairs(match["pair"]) if match else []
    if match is None or not pairs:
        return None
    return (*next((pair for pair in pairs if set(pair) <= set(methods)), pairs[0]), match["metric"])


def _pairs(text: str) -> list[tuple[str, str]]:
    """Every way to cut the text at a '>', since a method's name may have one."""
    parts = text.split(">")
    pairs = [(">".join(parts[:cut]).strip(), ">".join(parts[cut:]).strip()) for cut in range(1, len(parts))]
    return [(better, worse) for better, worse in pairs if better and worse]


def claimed_pairs(better: Mapping[int, Axes], worse: Mapping[int, Axes]) -> list[tuple[int, int]]:
    """Each cell of the method with more axes, beside the other method's cell with the same values.

    Args:
        better, worse: places of the two methods' cells on the axes, by the cells' indices.
    """
    better_places, worse_places = keyed(better), keyed(worse)
    down = [(index, counterpart(axes, worse_places)) for index, axes in better.items()]
    up = [(counterpart(axes, better_places), index) for index, axes in worse.items()]
    found = [(one, other) for one, other in (*down, *up) if one is not None and other is not None]
    return list(dict.fromkeys(found))


def keyed(cells: Mapping[int, Axes]) -> Keyed:
    """Cells by their place on the axes; from index to axes."""
    return {tuple(axes.items()): index for index, axes in cells.items()}


def counterpart(axes: Axes, places: Keyed) -> int | None:
    """The cell with the same value on each of its own axes, all of which stand in `axes`."""
    for shape in dict.fromkeys(tuple(key for key, _ in place) for place in places):
        if all(key in axes for key in shape):
            index = places.get(tuple((key, axes[key]) for key in shape))
            if index is not None:
                return index
    return None
