"""Decides how much of a GPU each run of a launch gets."""

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from study.packing.book import PackingBook
from study.packing.kinds import kind_of
from study.packing.measuring import measured_needs, smallest_gpu
from study.packing.shares import Gpu, in_words, larger, share_of
from study.plan import PlannedRun, Resources
from trainables.config import RunConfig
from trainables.ledger import Ledger
from trainables.shipped import NO_VARIABLES

if TYPE_CHECKING:
    from study.launch.signals import StopRequest


class Packing:
    """The shares of runs on a part of a GPU; all other runs are left as they are.

    A share comes from the spec, from the memory that the spec declares, or from what was measured; where a run of its
    kind has run out of memory, it is larger.

    Attributes:
        enlarged: runs of this launch that got a larger share because they ran out of memory.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        expect: Callable[[Iterable[PlannedRun]], None] = lambda runs: None,
        environment: Mapping[str, str] = NO_VARIABLES,
    ) -> None:
        """
        Args:
            expect: told of runs with the share that they get, for what they will cost.
            environment: variables of the driver that workers of a cluster lack.
        """
        self._ledger, self._book, self._expect = ledger, PackingBook(ledger), expect
        self._environment = environment
        self._runs: dict[str, PlannedRun] = {}
        self._kinds: dict[int, tuple[RunConfig, str]] = {}
        self._gpu = Gpu("", 0)
        self.enlarged: set[str] = set()

    def prepare(self, runs: Sequence[PlannedRun], *, session: Mapping[str, Any]) -> set[Resources]:
        """Looks at the GPUs of Ray, and measures what kinds of runs need that are not known yet.

        Args:
            session: what runs of the launch are told.

        Returns:
            The distinct resources of the runs.

        Raises:
            ResourceError: the share depends on the memory of GPUs, and it cannot be read.
        """
        sharing = [run for run in runs if run.resources.shares_gpu]
        if sharing:
            self._gpu = self._gpu if self._gpu.memory else smallest_gpu()
            self._refuse_unknown(sharing)
            self._measure(sharing, session)
        self.add(runs)
        sizes = Counter(self.resources(run).gpus for run in sharing)
        for share, count in sorted(sizes.items()):
            _tell(f"packing: {in_words(share)} for {count} runs ({self._gpu.title})")
        return {self.resources(run) for run in runs}

    def _refuse_unknown(self, runs: Iterable[PlannedRun]) -> None:
        if not self._gpu.memory and any(run.resources.gpu == "auto" for run in runs):
            from study.launch.cluster import ResourceError

            raise ResourceError(
                "resources.gpu: auto: torch reads the memory of no GPU of this machine or cluster; "
                "`dml-study doctor` looks at them; or give the share as a number, `gpu: 0.25`"
            )

    def _measure(self, runs: Iterable[PlannedRun], session: Mapping[str, Any]) -> None:
        known = self._book.needs.get(self._gpu.title, {})
        wanted = (run for run in runs if _to_measure(run))
        probes = {kind: run for run in wanted if (kind := self._kind(run)) not in known}
        if not probes:
            return
        _tell(f"packing: measuring the GPU memory of {len(probes)} kinds of runs")
        found = measured_needs(probes, session=session, environment=self._environment)
        for kind, need in found.items():
            self._book.note("needs", self._gpu.title, kind, need)
        if unknown := len(probes) - len(found):
            _tell(f"packing: {unknown} of them cannot be measured, and have a GPU to themselves until one is complete")
        self._book.save()

    def add(self, runs: Iterable[PlannedRun]) -> None:
        """Takes up runs that are to be trained."""
        sharing = {run.run_id: run for run in runs if run.resources.shares_gpu}
        self._runs |= sharing
        self._expect([self._packed(run) for run in sharing.values()])

    def resources(self, run: PlannedRun) -> Resources:
        """What a run occupies: with a number of GPUs, whatever the spec says."""
        if not run.resources.shares_gpu:
            return run.resources
        share, kind = self._asked(run), self._kind(run)
        if share < 1:
            share = max(share, self._book.shares.get(self._gpu.title, {}).get(kind, 0.0))
        return run.resources.model_copy(update={"gpu": share, "gpu_memory": None})

    def _asked(self, run: PlannedRun) -> float:
        """By the spec or by what is measured; a whole GPU where nothing is known."""
        if run.resources.gpu != "auto":
            return run.resources.gpus
        known = self._book.needs.get(self._gpu.title, {})
        need = run.resources.gpu_memory or known.get(self._kind(run))
        return share_of(need, self._gpu.memory) if need else 1.0

    def _packed(self, run: PlannedRun) -> PlannedRun:
        return replace(run, resources=self.resources(run))

    def _kind(self, run: PlannedRun) -> str:
        """Runs of a cell share one configuration but for the seed; it is looked at once."""
        known = self._kinds.get(id(run.base))
        if known is None:
            known = self._kinds[id(run.base)] = (run.base, kind_of(run.base))
        return known[1]

    def of(self, run_id: str) -> Resources | None:
        """What a run that shares a GPU occupies by now; None for other runs."""
        return self.resources(self._runs[run_id]) if run_id in self._runs else None

    def enlarge(self, run_id: str, *, share: float) -> None:
        """A run ran out of memory with this share: it and its kind get a larger one from now on.

        Raises:
            LedgerError: the folder cannot be written.
        """
        run, more = self._runs[run_id], larger(share)
        self._book.note("shares", self._gpu.title, self._kind(run), more)
        self._book.retried[run_id] = more
        self._book.save()
        self.enlarged.add(run_id)
        self._expect([self._packed(run)])

    def learn(self, run_id: str, *, need: float) -> None:
        """A run is complete: what it took tells the share of its kind, where that was not measured before.

        Raises:
            LedgerError: the folder cannot be written.
        """
        kind = self._kind(self._runs[run_id])
        if kind not in self._book.needs.get(self._gpu.title, {}):
            self._book.note("needs", self._gpu.title, kind, need)
            self._book.save()

    def around(self, searcher: Any, *, stop: "StopRequest") -> Any:
        """The searcher with shares in what it suggests; itself where no run shares a GPU."""
        if not self._runs:
            return searcher
        from study.packing.searcher import PackedSearcher

        return PackedSearcher(searcher, self, stop=stop)


def _to_measure(run: PlannedRun) -> bool:
    """What a run with sources needs can only be seen when these are complete: the first of its kind tells."""
    return run.resources.gpu == "auto" and run.resources.gpu_memory is None and not run.sources


def _tell(message: str) -> None:
    print(message, file=sys.stderr, flush=True)
