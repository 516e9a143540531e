"""Rows and stores for the tests of the ledger."""

from collections.abc import Callable
from typing import Any

from trainables.ledger import Ledger, MissingKeyError

Op = tuple[str, str]


def run_name(index: int) -> str:
    return f"{index:016x}"


def run_row(run_id: str, attempt: str = "0001_01", status: str = "complete", **columns: Any) -> dict[str, Any]:
    return {"run_id": run_id, "attempt": attempt, "status": status, **columns}


def commit_runs(ledger: Ledger, indices: range, *, epochs: int = 2, attempt: str = "0001_01") -> None:
    """Commits small complete runs whose numbers follow from their index."""
    for index in indices:
        run_id = run_name(index)
        rows = [{"epoch": epoch, "train_loss": index + epoch / 10} for epoch in range(1, epochs + 1)]
        classes = [{"class_index": 0, "recall_at_1": index / 7}]
        ledger.commit(run_row(run_id, attempt, test_map_at_r=index / 3), epochs=rows, classes=classes)


def resolved(ledger: Ledger) -> dict[str, list[dict[str, Any]]]:
    """The tables as they count, without what may differ between a killed and an undisturbed study: the attempt."""
    result = {}
    for table in ("runs", "epochs", "classes"):
        content = ledger.read(table).drop_columns(["attempt"]).to_pylist()
        result[table] = sorted(content, key=repr)
    return result


class MemoryStore:
    """A store in memory: each mutation is visible at once or, when killed, not at all.

    `before` is called ahead of every mutation with its kind and key; what it raises is the kill.
    """

    location = "memory"

    def __init__(self, objects: dict[str, bytes] | None = None) -> None:
        self.objects = dict(objects or {})
        self.before: Callable[[str, str], None] = lambda kind, key: None
        self.after: Callable[[str, str], None] = lambda kind, key: None

    def put(self, key: str, data: bytes, *, durable: bool = True) -> None:
        self.before("put", key)
        self.objects[key] = data
        self.after("put", key)

    def delete(self, key: str) -> None:
        self.before("delete", key)
        self.objects.pop(key, None)
        self.after("delete", key)

    def get(self, key: str) -> bytes:
        if key not in self.objects:
            raise MissingKeyError(key)
        return self.objects[key]

    def exists(self, key: str) -> bool:
        return key in self.objects

    def list(self, *prefixes: str) -> list[str]:
        return sorted(key for key in self.objects if key.startswith(prefixes))

    def clean(self) -> None:
        """Nothing half-written ever stays in memory."""
