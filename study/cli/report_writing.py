"""Writes the page of studies, and remembers what need not be made again when it is written once more."""

import shlex
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar
from uuid import uuid4

from study.cli.common import folder_beside
from study.cli.finding import open_ledger
from study.wording import results_argument, spec_argument
from trainables.errors import ConfigError

if TYPE_CHECKING:
    from analysis import Results
    from analysis.loading import Source
    from analysis.reports import About, Names, StudyState
    from trainables.ledger import Ledger

Made = TypeVar("Made")
Sections = list[tuple[str, str]]
_TEXT_SHARE, _FIGURE_SHARE = 0.25, 0.1
"""Of the time that may go into making texts and figures anew while a study runs."""


@dataclass
class Kept(Generic[Made]):
    """Something that is made again when what it shows has changed, and not more often than its cost allows.

    Attributes:
        share: of the time that making it may take.
    """

    share: float
    clock: Callable[[], float] = time.monotonic
    _made: Made | None = None
    _key: Hashable = None
    _after: float = 0.0

    def get(self, key: Hashable, make: Callable[[], Made], *, at_once: bool) -> Made:
        """What was made for this key, or for an earlier one.

        Args:
            at_once: make it whatever it costs.
        """
        if self._made is None or (key != self._key and (at_once or self.clock() >= self._after)):
            start = self.clock()
            self._made, self._key = make(), key
            self._after = self.clock() + (self.clock() - start) / self.share
        return self._made


class ReportWriter:
    """The page of some studies in one file.

    Args:
        studies: as a user names them.
        metric: of the figures; None for what epochs are selected by.
        target: the file; None for one beside the results.

    Raises:
        DmlStudyError: a study that does not exist.
    """

    def __init__(self, studies: Sequence[str], *, metric: str | None, target: Path | None) -> None:
        self.studies, self.metric = list(studies), metric
        self.ledgers = [open_ledger(study, None) for study in studies]
        self._named = target
        self._texts: Kept[tuple[Results, Sections]] = Kept(_TEXT_SHARE)
        self._figures: Kept[str] = Kept(_FIGURE_SHARE)
        self._size = 0

    @cached_property
    def target(self) -> Path:
        """Where the page is written."""
        if self._named is not None:
            return self._named / "report.html" if self._named.is_dir() else self._named
        place = self.ledgers[0].location
        return Path(f"{folder_beside(place, self.ledgers[0].read_plan()['study'], 'report')}.html")

    @property
    def written(self) -> bool:
        """Whether there is a page of this writer."""
        return self._size > 0

    @property
    def size_text(self) -> str:
        return f"{self._size / 2**20:.1f} MB" if self._size >= 2**20 else f"{self._size / 2**10:.0f} kB"

    def write(self, *, reload: int | None = None, at_once: bool = True) -> None:
        """Writes the page; a reader of the file sees the old one or the new one.

        Args:
            reload: seconds after which it loads itself again in a browser; None for a page that stays.
            at_once: bring everything up to date, whatever it costs.
        """
        data = self._page(reload, at_once).encode("utf-8", errors="replace")
        replace_file(self.target, data)
        self._size = len(data)

    def _page(self, reload: int | None, at_once: bool) -> str:
        from analysis import reports

        about = self._about(reload)
        if not any(ledger.commits() for ledger in self.ledgers):
            return reports.early_page(self._sources(), about, reason="No run is finished yet.")
        key = self._fingerprint()
        results, texts = self._texts.get(key, lambda: self._made(about), at_once=at_once)
        if reason := reports.without_values(results):
            return reports.early_page(results.sources, about, reason=reason)
        pictures = self._figures.get(key, lambda: self._drawn(results, about), at_once=at_once)
        return reports.whole_page(results, about, texts, pictures)

    def _made(self, about: "About") -> "tuple[Results, Sections]":
        import analysis
        from analysis import reports

        loaded = analysis.load([ledger.location for ledger in self.ledgers])
        begun = tuple(source for source in loaded.sources if source.plan["cells"])
        results = analysis.Results(begun or loaded.sources)
        return results, [] if reports.without_values(results) else reports.sections(results, about)

    def _drawn(self, results: "Results", about: "About") -> str:
        from analysis import reports

        metric = self.metric or reports.main_metric(results.sources)
        return reports.figures(results, about, reports.draw_figures(results, metric=metric))

    def _about(self, reload: int | None) -> "About":
        from analysis.reports import About

        return About(reload=reload, states=[_state(ledger) for ledger in self.ledgers], names=self._names())

    def _names(self) -> "dict[str, Names]":
        """Only for studies of different names; of two that are called the same, the places are shown."""
        from analysis.reports import Names

        found = {}
        for typed, ledger in zip(self.studies, self.ledgers, strict=True):
            plan, place = ledger.read_plan(), results_argument(ledger.location)
            spec = spec_argument(plan["spec"]) if plan.get("spec") else ""
            found[plan["study"]] = Names(shlex.quote(typed), spec, place)
        return found if len(found) == len(self.ledgers) else {}

    def _sources(self) -> "list[Source]":
        from analysis.loading import Source

        plans = [ledger.read_plan() for ledger in self.ledgers]
        return [Source(plan["study"], ledger, plan) for plan, ledger in zip(plans, self.ledgers, strict=True)]

    def _fingerprint(self) -> Hashable:
        """Changes when a run ends, is taken out or evaluated, or the plan is another one."""
        return tuple(
            (frozenset(commit.name for commit in ledger.commits().values()), ledger.get("plan.json"))
            for ledger in self.ledgers
        )


def _state(ledger: "Ledger") -> "StudyState":
    from analysis.reports import StudyState
    from study.cli.standing import standing

    study = standing(ledger)
    running = [(study.titles[run_id], said) for run_id, said in study.running().items()]
    lines = [*study.lines(), study.at_work_or_next()]
    return StudyState(study.plan["study"], {name: n for name, n in study.counts().items() if n}, lines, running)


def replace_file(target: Path, data: bytes) -> None:
    """Writes a file so that its readers see the old content or the new one, and nothing between.

    Raises:
        ConfigError: it cannot be written.
    """
    beside = target.with_name(f".{target.name}.{uuid4().hex[:8]}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            beside.write_bytes(data)
            beside.replace(target)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(f"{target} cannot be written: {error.strerror}; choose another --output") from error
