"""Committed runs of another results folder, taken over with their provenance. Nothing that is here is overwritten."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from study.invalidation import invalidated_runs
from trainables.errors import DataError, DmlStudyError, LedgerError
from trainables.ledger import Commit, Ledger
from trainables.ledger.names import KEPT_KEYS
from trainables.ledger.places import Place

_BATCH = 200
"""Runs that are read at once; a kill between batches leaves whole runs."""
_LARGEST = 2**40
_PLAN, _SPEC, _SEARCH = "plan.json", "spec.yaml", "search/"


@dataclass(frozen=True)
class Disagreement:
    """A run that is complete in both folders, with other numbers.

    Attributes:
        metric, here, there: the first metric that differs, and its values; None where a side lacks it.
        more: how many other values differ.
    """

    run_id: str
    metric: str
    here: float | None
    there: float | None
    more: int


@dataclass(frozen=True)
class Imported:
    """What an import found and did.

    Attributes:
        taken: runs that were copied.
        present: runs that were complete here already.
        disagreements: those of them that have other numbers here.
        invalidated: runs that were invalidated here; they stay out.
        unfinished: how many runs of the other folder ended otherwise, by status.
        searches: searches whose settings were copied; those with other settings here stay as they are.
        plan: whether the plan was copied, because this folder had none.
    """

    taken: Sequence[str]
    present: Sequence[str]
    disagreements: Sequence[Disagreement]
    invalidated: Sequence[str]
    unfinished: Mapping[str, int]
    searches: int
    plan: bool


def import_runs(ledger: Ledger, other: Ledger, *, origin: str | None = None) -> Imported:
    """Copies all complete runs of another results folder, for whoever holds the lease of this one.

    Rows come with their attempt, host and versions, and with `origin`, epochs, classes and what the run kept. Of a run
    that is complete in both, this folder's commit stays. Safe to be killed in, and to be called again.

    Args:
        ledger: that gets them.
        other: that has them, and is only read.
        origin: what the rows' `origin` says; the other folder's place by default.

    Raises:
        LedgerError: both are one folder, or a file of the other one is damaged.
    """
    if ledger.location == other.location:
        raise LedgerError(f"{ledger.location} is imported into itself: name another folder with --into")
    here, there = ledger.commits(), other.commits()
    complete = [run_id for run_id, commit in there.items() if commit.status == "complete"]
    present = [run_id for run_id in complete if _is_complete(here, run_id)]
    invalidated = sorted(invalidated_runs(ledger).intersection(complete).difference(present))
    wanted = sorted(set(complete).difference(present, invalidated))
    disagreements = list(_disagreements(ledger, other, present))
    for start in range(0, len(wanted), _BATCH):
        ledger.adopt(other, *wanted[start : start + _BATCH], origin=origin)
    _complete_kept(ledger, other, set(present).difference(each.run_id for each in disagreements))
    searches = _copy_searches(ledger, other)
    plan = _copy_plan(ledger, other)
    ledger.compact()
    unfinished = Counter(commit.status for commit in there.values() if commit.status != "complete")
    return Imported(wanted, present, disagreements, invalidated, unfinished, searches, plan)


def _is_complete(commits: Mapping[str, Commit], run_id: str) -> bool:
    return run_id in commits and commits[run_id].status == "complete"


def _disagreements(ledger: Ledger, other: Ledger, present: Sequence[str]) -> Iterator[Disagreement]:
    from study.comparison import Tables, compare

    mine, theirs = (_rows(each, present) for each in (ledger, other))
    for run_id in present:
        found = compare(Tables([mine[run_id]], [], []), Tables([theirs[run_id]], [], [])).differences
        if found:
            first = next((each for each in found if each.name.startswith("test_")), found[0])
            yield Disagreement(run_id, first.name, first.recorded, first.repeated, len(found) - 1)


def _rows(ledger: Ledger, run_ids: Sequence[str]) -> dict[str, Mapping[str, object]]:
    return {row["run_id"]: row for row in ledger.read("runs", run_ids=run_ids).to_pylist()} if run_ids else {}


def _complete_kept(ledger: Ledger, other: Ledger, same: Collection[str]) -> None:
    """Takes over what runs that both have, with the same numbers, kept over there alone."""
    for run_id in same:
        for place in KEPT_KEYS.values():
            key = place(run_id)
            if other.exists(key) and not ledger.exists(key):
                ledger.put(key, other.get(key))


def _copy_searches(ledger: Ledger, other: Ledger) -> int:
    """Settings of searches, where what is recorded here is the same: of two records neither can continue the other."""
    mine, theirs = (set(each.list(_SEARCH)) for each in (ledger, other))
    differing = {_search_of(key) for key in mine if key not in theirs or ledger.get(key) != other.get(key)}
    keys = sorted(key for key in theirs - mine if _search_of(key) not in differing)
    for key in keys:
        ledger.put(key, other.get(key))
    return len({_search_of(key) for key in keys})


def _search_of(key: str) -> str:
    return key.removeprefix(_SEARCH).partition("/")[0]


def _copy_plan(ledger: Ledger, other: Ledger) -> bool:
    """Tables and plots need one; the next `run` writes its own."""
    if ledger.exists(_PLAN) or not other.exists(_PLAN):
        return False
    for key in (_SPEC, _PLAN):
        if other.exists(key):
            ledger.put(key, other.get(key))
    return True


@contextmanager
def opened(place: Place, *, tell: Callable[[str], None] = lambda message: None) -> Iterator[Ledger]:
    """The ledger of a results folder, of its address, or of a zip or tar of one, which is unpacked for the while.

    Raises:
        LedgerError: there is no results folder of this version of the schema in it.
        DataError: a damaged archive, or one with members that lead out of it.
    """
    if not (isinstance(place, Path) and place.is_file()):
        yield Ledger.open(place)
        return
    from trainables.datasets.extraction import PACKED, extract

    if not place.name.endswith(PACKED):
        raise LedgerError(f"{place} is no results folder and no archive of one ({', '.join(PACKED)})")
    with TemporaryDirectory(prefix="dml-study-import-") as name:
        tell(f"unpacking {place.name}")
        try:
            extract(place, Path(name), largest=_LARGEST)
        except DataError as error:
            raise LedgerError(f"nothing is imported: {error}") from error
        folder = _results_in(Path(name), place)
        with _called(place, folder):
            yield Ledger.open(folder)


@contextmanager
def _called(archive: Path, folder: Path) -> Iterator[None]:
    """Errors name the archive: nobody else knows the folder that it is unpacked into."""
    try:
        yield
    except DmlStudyError as error:
        if str(folder) not in str(error):
            raise
        raise LedgerError(str(error).replace(str(folder), str(archive))) from error


def _results_in(folder: Path, archive: Path) -> Path:
    found = sorted(file.parent for file in folder.rglob("schema.json"))
    if len(found) != 1:
        number = "no results folder" if not found else f"{len(found)} results folders"
        raise LedgerError(f"{archive} has {number} (with a schema.json); give an archive of one")
    return found[0]
