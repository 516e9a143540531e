"""Commands that make a report's parts again."""

import shlex
from collections.abc import Iterable

from analysis.loading import Results, Source
from analysis.reports.model import About, Names
from trainables.ledger import Ledger


def names_of(source: Source, about: About) -> Names:
    """As the caller calls it, else its place and the spec that its plan names."""
    place = source.ledger.location if isinstance(source.ledger, Ledger) else source.study
    spec = source.plan.get("spec")
    found = Names(shlex.quote(place), shlex.quote(spec) if spec else "", shlex.quote(place))
    return about.names.get(source.study, found)


def call(results: Results, about: About, command: str, *options: str) -> str:
    """`dml-study COMMAND STUDY... OPTIONS` for all studies of the results."""
    studies = [names_of(source, about).study for source in results.sources]
    return " ".join(filter(None, ["dml-study", command, *studies, *options]))


def flag(name: str, values: Iterable[str]) -> str:
    """ "--metric map_at_r"; empty without values."""
    return " ".join(f"{name} {shlex.quote(value)}" for value in values)
