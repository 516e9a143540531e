"""What a report is told that results do not say themselves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime


@dataclass(frozen=True)
class StudyState:
    """How far a study is.

    Attributes:
        counts: "done", "running", "failed", ... -> number of runs.
        lines: more about it, a sentence each: costs, searches, what is at work.
        running: title and progress of each run under way.
    """

    study: str
    counts: Mapping[str, int]
    lines: Sequence[str] = ()
    running: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class Names:
    """How commands call a study.

    Attributes:
        study: what `dml-study table` takes.
        spec: what `dml-study run` takes; empty where no spec made the results, as those of a paper.
        folder: what `--results` takes.
    """

    study: str
    spec: str
    folder: str


@dataclass(frozen=True)
class About:
    """Everything around the results.

    Attributes:
        made_at: when they were read.
        reload: seconds after which the page loads itself again; None for a page that stays as it is.
        states: of studies that are not only their finished runs; by default what the ledger says.
        names: by study, for commands; by default the places of the ledgers.
    """

    made_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    reload: int | None = None
    states: Sequence[StudyState] = ()
    names: Mapping[str, Names] = field(default_factory=dict)

    @property
    def clock(self) -> str:
        return f"{self.made_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
