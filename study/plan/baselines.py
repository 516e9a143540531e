"""Which cell every cell is compared with."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from study.plan.untrained import Made
from trainables.claims import counterpart, keyed


def baseline_cells(
    cells: Sequence[Made], baselines: Mapping[str, str | None], *, awaited: Collection[str] = ()
) -> tuple[list[int | None], list[str]]:
    """For every cell the index of its baseline's cell with the same values on all axes that the baseline has.

    Args:
        cells: of the plan.
        baselines: methods with what they are compared with.
        awaited: methods some of whose cells are still to come: nothing is said about baselines among them.

    Returns:
        Indices (None without a baseline), and warnings about methods whose baseline has no such cell.
    """
    by_method: dict[str, dict[int, Mapping[str, Any]]] = {}
    for index, cell in enumerate(cells):
        by_method.setdefault(cell.method, {})[index] = cell.axes
    places = {method: keyed(axes) for method, axes in by_method.items()}
    found: list[int | None] = []
    lonely: list[tuple[str, str]] = []
    for cell in cells:
        baseline = baselines.get(cell.method)
        found.append(None if baseline is None else counterpart(cell.axes, places.get(baseline, {})))
        if baseline is not None and baseline not in awaited and found[-1] is None:
            lonely.append((cell.method, baseline))
    return found, [_warning(*pair, count=lonely.count(pair)) for pair in dict.fromkeys(lonely)]


def _warning(method: str, baseline: str, *, count: int) -> str:
    cells = "one cell" if count == 1 else f"{count} cells"
    return (
        f"no cell of the baseline '{baseline}' has the axes of {cells} of '{method}'; they stand without a difference"
    )
