"""Attempts under way: who claimed them, and how far they are. Progress is advisory; names alone count."""

import json
import os
import socket
from collections.abc import Iterable, Mapping, Sequence
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


def traces(store: Store, catalog: Catalog, *, run_id: str | None = None) -> dict[str, set[str]]:
    """Attempts that left a trace, by run: of one run or of all."""
    of_live, of_saved = ("", "") if run_id is None else (f"{run_id}.", f"{run_id}/")
    live = (parse_live(key) for key in store.list(f"live/{of_live}"))
    saved = (parse_checkpoint(key) for key in store.list(f"checkpoints/{of_saved}"))
    committed = ((commit.run_id, commit.attempt) for commit in catalog.all_commits())
    result: dict[str, set[str]] = {}
    for parsed in (*live, *saved, *committed):
        if parsed:
            result.setdefault(parsed[0], set()).add(parsed[1])
    return result


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
    found = store.list("live/")
    ended = set(no_longer_needed(found, commits))
    running = filter(None, (parse_live(key) for key in found if key not in ended))
    said = ((names, _said(store, *names)) for names in running)
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
