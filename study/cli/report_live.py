"""Writes a page again and again while drivers work on its studies."""

import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import TYPE_CHECKING, Never

import typer

from study.wording import relative

if TYPE_CHECKING:
    from study.cli.report_writing import ReportWriter
    from trainables.ledger import Ledger

_PATIENCE = 60.0
"""Seconds without a sign after which a driver on another host counts as dead."""


@dataclass
class Drivers:
    """Whether anything drives the studies; the clock of other hosts is not trusted."""

    ledgers: "Sequence[Ledger]"
    clock: Callable[[], float] = time.monotonic
    _seen: dict[str, tuple[str, float]] = field(default_factory=dict)

    def at_work(self) -> bool:
        from trainables.ledger.lease import holders

        found = [driver for ledger in self.ledgers for driver in holders(ledger)]
        alive = [driver.here or self._fresh(driver.token, driver.renewed_at) for driver in found]
        return any(alive)

    def _fresh(self, token: str, renewed_at: str) -> bool:
        known, since = self._seen.get(token, ("", 0.0))
        if known != renewed_at:
            since = self.clock()
            self._seen[token] = (renewed_at, since)
        return self.clock() - since < _PATIENCE


def keep_writing(writer: "ReportWriter", *, every: int, sleep: Callable[[float], None] = time.sleep) -> None:
    """Until no driver holds any of the studies, or Ctrl-C; then once more, as a page that stays.

    Raises:
        typer.Exit: with 130 after Ctrl-C.
    """
    file = relative(writer.target.resolve())
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        _write_while_at_work(writer, every, sleep)
        writer.write()
    except KeyboardInterrupt:
        if writer.written:
            writer.write(at_once=False)
            typer.echo(f"stopped: {file} stays as it is")
        raise typer.Exit(130) from None
    finally:
        signal.signal(signal.SIGTERM, before)
    typer.echo(f"no driver works on {'the study' if len(writer.ledgers) == 1 else 'the studies'}: {file} is final")


def _write_while_at_work(writer: "ReportWriter", every: int, sleep: Callable[[float], None]) -> None:
    drivers, file = Drivers(writer.ledgers), relative(writer.target.resolve())
    while drivers.at_work():
        first = not writer.written
        writer.write(reload=every, at_once=False)
        if first:
            typer.echo(f"{file} is written every {every} s; in a browser it reloads itself. Ctrl-C ends this")
        sleep(every)


def _interrupt(number: int, frame: FrameType | None) -> Never:
    raise KeyboardInterrupt
