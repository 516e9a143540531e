"""Sessions of several runs that train together; each keeps its own rows, checkpoints, log and end."""

import traceback
from collections.abc import Mapping
from functools import partial

from trainables.errors import LedgerError
from trainables.fused.fit import FusedFit, FusedPlain, train_together
from trainables.fused.measuring import measure_together
from trainables.fused.stack import Stack
from trainables.training.build import build_strategy
from trainables.training.gpu_memory import free_memory
from trainables.training.session import Session

Progress = tuple[bool, int]
"""Whether a run trains for its refit, and epochs of that phase."""


class Member(Session):
    """A session whose epochs a group trains. Its first step only opens it, so that the group knows where it is."""

    _strategy: FusedPlain | None
    _build = staticmethod(partial(build_strategy, implementation=FusedPlain))

    def unguarded_step(self) -> None:
        if self._strategy is not None:
            super().unguarded_step()
        elif self.attempt or self._start():
            self._strategy_or_build()

    @property
    def opened(self) -> bool:
        """Whether its network is built, and its checkpoint loaded."""
        return self._strategy is not None

    def due(self) -> tuple[Progress, FusedFit] | None:
        """The fit whose epoch comes next; None where the run only has to be committed."""
        assert self._strategy is not None
        if self._strategy.finished or self._stop_epoch() is not None:
            return None
        fit = self._strategy.ready()
        return (self._strategy.phase == "refit", fit.epoch), fit

    @property
    def validates_next(self) -> bool:
        """Whether the epoch that comes next is measured on validation classes."""
        return self._strategy is not None and self._strategy.validates_next

    def alone(self, reason: str) -> Session:
        """Ends this attempt without a commit; the session that goes on from its newest checkpoint by itself."""
        self._log(f"{reason}\nthe group cannot train together: its runs go on one after the other")
        self._write_log()
        self._withdraw()
        return Session(
            self.run, ledger=self.ledger, options=self.options, artifacts=self._artifacts, cutoffs=self.cutoffs
        )

    def withdraw(self) -> None:
        """Takes the claim back: an error that is nobody's fault ends the group."""
        if not self.done:
            self._withdraw()


class GroupSession:
    """Carries several runs to their rows, as `Session` does one.

    The number of slots is part of what the last digits of a run depend on, and which others train beside it is not: a
    group that was killed goes on to the same bits, wherever each of its members was saved. Members that end leave
    their slots empty.
    """

    def __init__(self, members: Mapping[int, Session], *, size: int) -> None:
        """
        Args:
            members: by slot; those that are no `Member` train one after the other, when all others have ended.
            size: number of slots, those of runs that have ended included.
        """
        self._members: dict[int, Session] = dict(members)
        self._size = size
        self._stack: Stack | None = None
        self._refits = False

    @property
    def done(self) -> bool:
        return all(member.done for member in self._members.values())

    @property
    def status(self) -> str:
        """Of the group as a whole: how its runs ended stands in `statuses`."""
        return "ended" if self.done else "running"

    @property
    def run_id(self) -> str:
        """Of the first of its runs."""
        return next(iter(self._members.values())).run_id

    @property
    def statuses(self) -> dict[str, str]:
        """How runs ended, by id."""
        return {member.run_id: member.status for member in self._members.values()}

    @property
    def epochs_done(self) -> int:
        """Of the run that is least far."""
        return min((member.epochs_done for member in self._members.values() if not member.done), default=0)

    def step(self) -> None:
        """Trains an epoch of those members that are least far; each of them counts, measures and saves it.

        Raises:
            LedgerError: results cannot be written.
        """
        try:
            self._step()
        except LedgerError:
            for member in self._members.values():
                if isinstance(member, Member):
                    member.withdraw()
            raise

    def _step(self) -> None:
        together = {slot: each for slot, each in self._members.items() if isinstance(each, Member) and not each.done}
        if unopened := [member for member in together.values() if not member.opened]:
            for member in unopened:
                member.step()
        elif together:
            self._advance(together)
        else:
            next(member for member in self._members.values() if not member.done).step()

    def _advance(self, members: Mapping[int, Member]) -> None:
        found = {slot: member.due() for slot, member in members.items()}
        waiting = {slot: due for slot, due in found.items() if due is not None}
        ended = [members[slot] for slot in found.keys() - waiting.keys()]
        if ended:
            for member in ended:
                member.step()
            return
        least = min(progress for progress, _ in waiting.values())
        fits = {slot: fit for slot, (progress, fit) in waiting.items() if progress == least}
        validates = any(members[slot].validates_next for slot in fits)  # all of them or none
        if self._trained(fits, refit=least[0], validates=validates):
            for slot in fits:
                members[slot].step()

    def _trained(self, fits: Mapping[int, FusedFit], *, refit: bool, validates: bool) -> bool:
        """Trains an epoch; False where that is not possible, and the members are by themselves from now on."""
        try:
            if self._stack is None or self._refits != refit:
                self._stack, self._refits = Stack(next(iter(fits.values())), self._size), refit
            train_together(self._stack, fits)
            if validates:
                measure_together(self._stack, fits)
        except Exception:  # noqa: BLE001 - whatever it is, no run is to blame before it fails by itself
            self._dissolve(traceback.format_exc())
            return False
        return True

    def _dissolve(self, reason: str) -> None:
        self._stack = None
        for slot, member in self._members.items():
            if isinstance(member, Member) and not member.done:
                self._members[slot] = member.alone(reason)
        free_memory()

    def close(self) -> None:
        """Saves unfinished runs; the next group goes on from here."""
        for member in self._members.values():
            member.close()
