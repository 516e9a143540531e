"""What a trial of several runs is told, and what it says. A trial of one run is told of that run alone."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from study.fusing.book import FusedGroup

Configuration = dict[str, Any]
_OF_A_RUN = ("run_id", "run", "cutoffs")


def joined(group: FusedGroup, configurations: Sequence[Configuration], resources: Mapping[str, float]) -> Configuration:
    """One trial for those runs of a group that are due.

    Args:
        configurations: of these runs; they need no others.
        resources: of the trial, by Ray's names.
    """
    members = [
        {"slot": group.runs.index(each["run_id"]), **{key: each[key] for key in _OF_A_RUN}} for each in configurations
    ]
    shared = {key: value for key, value in configurations[0].items() if key not in _OF_A_RUN}
    return {**shared, "run_id": group.name, "resources": dict(resources), "members": members, "size": len(group.runs)}


def run_ids(configuration: Mapping[str, Any]) -> tuple[str, ...]:
    """The runs of a trial."""
    members = configuration.get("members")
    return tuple(each["run_id"] for each in members) if members else (configuration["run_id"],)


def only(chosen: Collection[str], configuration: Configuration) -> Configuration:
    """The trial without its other runs, whose slots stay empty."""
    if "members" not in configuration:
        return configuration
    return {**configuration, "members": [each for each in configuration["members"] if each["run_id"] in chosen]}


def status_of(run_id: str, result: Mapping[str, Any] | None) -> str | None:
    """How a run ended, as its trial says."""
    if result is None:
        return None
    status: str | None = result.get("statuses", {}).get(run_id, result.get("status"))
    return status
