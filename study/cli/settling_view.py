"""Claims that decide how many seeds are trained, on a terminal."""

from collections.abc import Iterator, Mapping
from typing import Any

from analysis.settling import is_settled, standing


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
