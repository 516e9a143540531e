"""Numbers that papers published, with their sources: package data, never mixed with runs of one's own."""

from analysis.publications.values import (
    SELECTIONS,
    Record,
    choose,
    parse_filters,
    published,
    published_values,
)

__all__ = ["SELECTIONS", "Record", "choose", "parse_filters", "published", "published_values"]
