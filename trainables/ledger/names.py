"""What file names say: which run, which attempt, how it ended. Names alone tell what is done."""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from trainables.errors import LedgerError

Table = Literal["runs", "epochs", "classes", "evaluations"]
TABLES: tuple[Table, ...] = ("runs", "epochs", "classes")
"""Those that a run writes when it ends; `evaluations` come afterwards."""
FINAL_STATUSES = ("complete", "failed", "pruned")

_RUN = r"(?P<run_id>[0-9a-f]{16})"
_ATTEMPT = r"(?P<attempt>\d{4,}_\d{2,})"
_COMMIT = re.compile(rf"{_RUN}\.{_ATTEMPT}\.(?P<status>{'|'.join(FINAL_STATUSES)})\.parquet")
_PART = re.compile(rf"{_RUN}\.{_ATTEMPT}\.parquet")
_LIVE = re.compile(rf"{_RUN}\.{_ATTEMPT}\.json")
_CHECKPOINT = re.compile(rf"checkpoints/{_RUN}/{_ATTEMPT}-(?P<epoch>\d{{6,}})\.ckpt")


@dataclass(frozen=True)
class Commit:
    """One finished attempt of a run: `status` is complete, failed or pruned."""

    run_id: str
    attempt: str
    status: str

    @property
    def name(self) -> str:
        """File name in `runs/`."""
        return f"{self.run_id}.{self.attempt}.{self.status}.parquet"

    @property
    def part(self) -> str:
        """File name in `epochs/` and `classes/`."""
        return part_name(self.run_id, self.attempt)

    def row_name(self, table: Table) -> str:
        """The part file that held this commit's rows of a table before any compaction."""
        return self.name if table == "runs" else self.part


def part_name(run_id: str, attempt: str) -> str:
    """File name of an attempt's rows in `epochs/` and `classes/`."""
    return f"{run_id}.{attempt}.parquet"


def live_key(run_id: str, attempt: str) -> str:
    """Key of an attempt's advisory progress."""
    return f"live/{run_id}.{attempt}.json"


def checkpoint_key(run_id: str, attempt: str, epoch: int) -> str:
    """Key of a checkpoint."""
    return f"checkpoints/{run_id}/{attempt}-{epoch:06d}.ckpt"


def weights_key(run_id: str) -> str:
    """Where a run keeps the weights of its selected epoch."""
    return f"artifacts/{run_id}/weights.pt"


def attempt_name(generation: int, counter: int) -> str:
    """`"0002_01"`: first attempt under driver generation 2."""
    return f"{generation:04d}_{counter:02d}"


@lru_cache(maxsize=10_000)
def attempt_order(attempt: str) -> tuple[int, int]:
    """Age as numbers; unlike the text they also order attempt 100 after attempt 99."""
    generation, _, counter = attempt.partition("_")
    return int(generation), int(counter)


def embeddings_key(run_id: str) -> str:
    """Where a run keeps the embeddings of the test images, in their order, at its selected epoch."""
    return f"artifacts/{run_id}/test_embeddings.pt"


KEPT_KEYS = {"weights": weights_key, "embeddings": embeddings_key}
"""What a run may keep for others, and where."""


@lru_cache(maxsize=100_000)
def parse_commit(name: str) -> Commit | None:
    """The commit that a file name in `runs/` states, or None for any other file."""
    match = _COMMIT.fullmatch(name)
    return Commit(**match.groupdict()) if match else None


def parse_part(name: str) -> tuple[str, str] | None:
    """(run_id, attempt) of a part in `epochs/` or `classes/`, or None for any other file."""
    match = _PART.fullmatch(name)
    return (match["run_id"], match["attempt"]) if match else None


def is_part(table: Table, name: str) -> bool:
    """Whether a file name is that of one attempt's rows."""
    return bool((_COMMIT if table == "runs" else _PART).fullmatch(name))


def parse_live(key: str) -> tuple[str, str] | None:
    """(run_id, attempt) of a key below `live/`."""
    match = _LIVE.fullmatch(key.removeprefix("live/"))
    return (match["run_id"], match["attempt"]) if match else None


def parse_checkpoint(key: str) -> tuple[str, str, int] | None:
    """(run_id, attempt, epoch) of a key below `checkpoints/`."""
    match = _CHECKPOINT.fullmatch(key)
    return (match["run_id"], match["attempt"], int(match["epoch"])) if match else None


def require_names(run_id: str, attempt: str) -> None:
    """Raises LedgerError unless both can stand in a file name and be found again."""
    if not _PART.fullmatch(part_name(run_id, attempt)):
        raise LedgerError(
            f"run_id '{run_id}' with attempt '{attempt}' cannot be stored: a run_id has 16 hexadecimal digits, "
            "an attempt looks like 0002_01"
        )


def resolve(commits: Iterable[Commit]) -> dict[str, Commit]:
    """The commit that counts for each run: `complete` wins, then the smallest attempt."""
    ordered = sorted(commits, key=lambda commit: (commit.status != "complete", attempt_order(commit.attempt)))
    result: dict[str, Commit] = {}
    for commit in ordered:
        result.setdefault(commit.run_id, commit)
    return result


def no_longer_needed(keys: Iterable[str], commits: Iterable[Commit]) -> list[str]:
    """The checkpoints and live records among `keys` that commits make superfluous.

    All of a complete run; of a run that failed or was pruned those up to its youngest commit, for a retry of it may be
    under way.
    """
    last: dict[str, tuple[float, float]] = {}
    for commit in commits:
        until = (math.inf, math.inf) if commit.status == "complete" else attempt_order(commit.attempt)
        last[commit.run_id] = max(last.get(commit.run_id, until), until)
    parsed = ((key, parse_checkpoint(key) or parse_live(key)) for key in keys)
    return [key for key, names in parsed if names and names[0] in last and attempt_order(names[1]) <= last[names[0]]]
