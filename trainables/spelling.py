"""Suggestions for misspelt names. Light: whatever refuses a name imports it."""

import difflib
from collections.abc import Mapping
from typing import Any


def nearest(word: str, known: Mapping[str, Any] | list[str]) -> str:
    """`"; did you mean 'x'?"` for the closest spelling, or the whole list when nothing is close."""
    matches = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    if matches:
        return f"did you mean '{matches[0]}'?"
    return f"known: {', '.join(sorted(known))}"
