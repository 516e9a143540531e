"""Claims that decide how many seeds are trained, on a terminal."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from analysis.protocol.settling import is_settled, standing


def settling_lines(record: Mapping[str, Any]) -> Iterator[str]:
    """A line for the rule, and one for every comparison.

    Args:
        record: `settling` of `plan.json`.
    """
    comparisons = record["comparisons"]
    looks = ", ".join(str(count) for count in record["looks"])
    yield f"claims: {sum(map(is_settled, comparisons))} of {len(comparisons)} settled; tested after {looks} seeds"
    for comparison in comparisons:
        yield f"  {comparison['title']}: {standing(comparison)}"


def due_for_a_look(plan: Mapping[str, Any], ended: Collection[str]) -> bool:
    """Whether a claim is to be tested on what has ended, since its driver came to an end before it looked.

    Args:
        plan: `plan.json`.
        ended: runs with a commit.
    """
    if "settling" not in plan or any(search["chosen"] is None for search in plan.get("searches", ())):
        return False
    last = plan["settling"]["looks"][-1]
    cells = [[each["run_id"] for each in cell["replicates"]] for cell in plan["cells"]]
    return any(
        not is_settled(comparison)
        and (not comparison["looks"] or comparison["looks"][-1]["seeds"] < last)
        and all(run_id in ended for index in comparison["cells"] for run_id in cells[index])
        for comparison in plan["settling"]["comparisons"]
    )
