"""Forms the groups of runs that train together in a launch."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil

from study.fusing.book import FusedBook, FusedGroup
from study.fusing.configurations import Configuration, joined
from study.plan import PlannedRun, Resources
from trainables.fused.rules import fusing_key, refusal
from trainables.ledger import Ledger
from trainables.ledger.names import parse_checkpoint

_AUTO = {"cpu": 1, "cuda": 1}
"""Runs that `fuse: auto` trains together, by device: as many as benchmarks/fused.py shows to pay. On CPUs they hardly
do; on a GPU it was not measured yet."""


def most_together(run: PlannedRun) -> int:
    """How many runs of this kind may train together; 1 where none may."""
    fuse = run.resources.fuse
    most = {"off": 1, "auto": _AUTO[run.resources.device]}.get(str(fuse), fuse)
    return int(most) if most != 1 and not run.sources and refusal(run.config) is None else 1


@dataclass(frozen=True)
class Formed:
    """The runs of a launch, those in groups and those by themselves.

    Attributes:
        groups: with those of their runs that are due, and what their trial occupies.
        singles: all other runs.
    """

    groups: Mapping[FusedGroup, tuple[Sequence[str], Resources]]
    singles: Sequence[PlannedRun]

    @property
    def sizes(self) -> set[Resources]:
        """What trials of groups occupy."""
        return {resources for _, resources in self.groups.values()}

    def configured(self, configurations: Sequence[Configuration]) -> list[Configuration]:
        """Configurations of all runs as those of trials: a group stands where its first run stood."""
        from study.launch.cluster import demand

        own = {each["run_id"]: each for each in configurations}
        trials, group_of = [], {run_id: group for group, (due, _) in self.groups.items() for run_id in due}
        for configuration in configurations:
            group = group_of.get(configuration["run_id"])
            if group is None:
                trials.append(configuration)
            elif self.groups[group][0][0] == configuration["run_id"]:
                due, resources = self.groups[group]
                trials.append(joined(group, [own[run_id] for run_id in due], demand(resources)))
        return trials


class Groups:
    """The groups of a results folder."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger, self._book = ledger, FusedBook(ledger)

    def of(
        self, due: Sequence[PlannedRun], *, places: Callable[[Resources], int], tell: Callable[[str], None]
    ) -> Formed:
        """Puts due runs into groups: those of earlier launches, and new ones.

        Args:
            places: how many trials of a size run at once; groups are no larger than it takes to have work for all.
            tell: gets a line for the user where there are groups.

        Raises:
            LedgerError: the folder cannot be written.
        """
        able = {run.run_id: run for run in due if most_together(run) > 1}
        groups = self._recorded(able)
        taken = {run_id for group in groups for run_id in group.runs}
        rest = [run for run_id, run in able.items() if run_id not in taken]
        groups += _new_groups(rest, share=lambda size: ceil(len(due) / places(size)))
        formed = {group: (due_of, _resources(able[due_of[0]])) for group in groups if (due_of := _among(group, able))}
        grouped = {run_id for run_ids, _ in formed.values() for run_id in run_ids}
        if formed:
            self._book.save(groups)
            tell(f"fusing: {len(grouped)} runs train together, in {len(formed)} groups")
        return Formed(formed, [run for run in due if run.run_id not in grouped])

    def _recorded(self, able: Mapping[str, PlannedRun]) -> list[FusedGroup]:
        """Groups of earlier launches with runs that are due: these get the bits that they would have had then.

        Where fewer may train together by now, those stay of which a run has a checkpoint.
        """
        groups = [group for group in self._book.groups if _among(group, able)]
        larger = [group for group in groups if len(group.runs) > most_together(able[_among(group, able)[0]])]
        if not larger:
            return groups
        saved = {names[0] for key in self._ledger.list("checkpoints/") if (names := parse_checkpoint(key))}
        return [group for group in groups if group not in larger or not saved.isdisjoint(_among(group, able))]


def _among(group: FusedGroup, able: Mapping[str, PlannedRun]) -> list[str]:
    return [run_id for run_id in group.runs if run_id in able]


def _new_groups(runs: Sequence[PlannedRun], *, share: Callable[[Resources], int]) -> list[FusedGroup]:
    """Runs of one kind and equal resources, in groups of about one size that is at most the `share` of a place."""
    kinds: dict[tuple[str, Resources], list[PlannedRun]] = {}
    for run in runs:
        kinds.setdefault((fusing_key(run.config), run.resources), []).append(run)
    cut = (
        chunk
        for alike in kinds.values()
        for chunk in _cut(alike, min(most_together(alike[0]), share(_resources(alike[0]))))
    )
    return [FusedGroup(chunk) for chunk in cut if len(chunk) > 1]


def _cut(alike: Sequence[PlannedRun], size: int) -> Iterator[tuple[str, ...]]:
    count = ceil(len(alike) / size)
    bounds = [number * len(alike) // count for number in range(count + 1)]
    return (tuple(run.run_id for run in alike[start:stop]) for start, stop in pairwise(bounds))


def _resources(run: PlannedRun) -> Resources:
    """Of a group of such runs: whole GPUs, where they use any."""
    if not run.resources.shares_gpu:
        return run.resources
    return run.resources.model_copy(update={"gpu": 1.0, "gpu_memory": None})
