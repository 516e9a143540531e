"""Attempts under way: who claimed them, and how far they are. Progress is advisory; names alone count."""

import json
import os
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from trainables.ledger.catalog import Catalog
from trainables.ledger.errors import MissingKeyError
from trainables.ledger.names import (
    Commit,
    attempt_name,
    attempt_order,
    live_key,
    no_longer_needed,
    parse_checkpoint,
    parse_live,
    require_names,
)
from trainables.ledger.store import Store


def traces(store: Store, catalog: Catalog) -> dict[str, set[str]]:
    """Attempts that left a trace, by run."""
    result: dict[str, set[str]] = {}
    for run_id, attempt in _traces(store.list("live/"), store.list("checkpoints/"), catalog.all_commits()):
        result.setdefault(run_id, set()).add(attempt)
    return result


def traces_of(store: Store, catalog: Catalog, run_id: str) -> set[str]:
    """Attempts at one run that left a trace."""
    live, saved = store.list(f"live/{run_id}."), store.list(f"checkpoints/{run_id}/")
    return {attempt for _, attempt in _traces(live, saved, catalog.commits_of(run_id))}


def _traces(live: Iterable[str], saved: Iterable[str], commits: Iterable[Commit]) -> Iterator[tuple[str, str]]:
    yield from filter(None, map(parse_live, live))
    yield from (parsed[:2] for parsed in map(parse_checkpoint, saved) if parsed)
    yield from ((commit.run_id, commit.attempt) for commit in commits)


def next_attempt(taken: Iterable[str], generation: int) -> str:
    """The first attempt under a driver generation that comes after those taken."""
    orders = [attempt_order(attempt) for attempt in taken]
    return attempt_name(generation, 1 + max((count for other, count in orders if other == generation), default=0))


def claim(store: Store, taken: Iterable[str], run_id: str, *, generation: int) -> str:
    """The next attempt of a run under a driver generation, on record before it starts."""
    attempt = next_attempt(taken, generation)
    require_names(run_id, attempt)
    now = _now()
    claimed = {"host": socket.gethostname(), "pid": os.getpid(), "started_at": now, "updated_at": now}
    store.put(live_key(run_id, attempt), json.dumps(claimed).encode())
    return attempt


def update(store: Store, run_id: str, attempt: str, fields: Mapping[str, Any]) -> None:
    """Adds to what is known about an attempt under way; may be lost by a power cut."""
    require_names(run_id, attempt)
    content = {**(_said(store, run_id, attempt) or {}), "updated_at": _now(), **fields}
    store.put(live_key(run_id, attempt), json.dumps(content).encode(), durable=False)


def under_way(store: Store, commits: Sequence[Commit]) -> list[dict[str, Any]]:
    """What attempts said last that may still be running: those that a commit made superfluous are left out."""
    found = {key: names for key in store.list("live/") if (names := parse_live(key))}
    claimed = {run_id for run_id, _ in found.values()}
    ended = set(no_longer_needed(found, (commit for commit in commits if commit.run_id in claimed)))
    said = ((names, _said(store, *names)) for key, names in found.items() if key not in ended)
    return [{**content, "run_id": names[0], "attempt": names[1]} for names, content in said if content is not None]


def worker_deaths(store: Store, run_id: str, *, generation: int) -> tuple[int, int]:
    """Attempts at a run under a driver that neither ended nor withdrew: all, and those since an epoch was saved."""
    saved = filter(None, map(parse_checkpoint, store.list(f"checkpoints/{run_id}/")))
    newest = max((attempt_order(attempt) for _, attempt, _ in saved), default=(0, 0))
    claims = filter(None, map(parse_live, store.list(f"live/{run_id}.{generation:04d}_")))
    orders = [attempt_order(attempt) for _, attempt in claims]
    return len(orders), sum(order > newest for order in orders)


def _said(store: Store, run_id: str, attempt: str) -> dict[str, Any] | None:
    """What stands in a record; nothing where it was never synced before a power cut; None where there is no record."""
    try:
        content = json.loads(store.get(live_key(run_id, attempt)))
    except MissingKeyError:
        return None
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
