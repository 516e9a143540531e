"""What is on record of a search and would be otherwise today."""

from collections.abc import Mapping
from typing import Any

from study.search.candidate import Candidate


def other_params(title: str, candidate: Candidate, today: Mapping[str, Any]) -> str:
    """A setting that would be proposed with other values."""
    return (
        f"{title}: setting {candidate.number} is on record as {dict(candidate.params)}, and would be proposed as "
        f"{dict(today)} today (another version of a package, or runs that ended otherwise since); the recorded one "
        "counts"
    )


def other_cutoffs(title: str, candidate: Candidate) -> str:
    """A setting that would get other cutoffs."""
    return (
        f"{title}: setting {candidate.number} has cutoffs on record that it would not get today (runs ended otherwise "
        "since); the recorded ones count"
    )
