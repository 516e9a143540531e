"""One run on a terminal."""

import json
import math
from typing import Any

from rich.console import Console
from rich.table import Table

from study.cli.common import FoundRun, run_config

_FACTS = ("status", "attempt", "attempts", "study", "dataset", "stage", "seed", "fold", "selected_epoch")
_COSTS = ("epochs_trained", "steps", "final_train_loss", "images_per_second", "train_seconds", "wall_seconds")
_ORIGIN = ("started_at", "ended_at", "host", "device", "device_name", "git_commit", "versions", "origin")


def print_run(found: FoundRun) -> None:
    """Prints what the ledger knows of a run; of an unfinished one, its configuration."""
    console = Console(highlight=False)
    committed = found.run_id in found.ledger.commits()
    console.print(f"[bold]run {found.run_id}[/] in {found.ledger.location}")
    if committed:
        rows = found.ledger.read("runs").to_pylist()
        _print_row(console, next(row for row in rows if row["run_id"] == found.run_id))
    else:
        console.print("  no rows yet")
    console.print("\n[bold]configuration[/]")
    console.print_json(run_config(found).model_dump_json(), indent=2)


def _print_row(console: Console, row: dict[str, Any]) -> None:
    metrics = {key: value for key, value in row.items() if key.startswith(("val_", "test_", "best_test_"))}
    metrics.update(dict(row["extra"] or []))
    console.print(
        _grid("metrics", {key: f"{100 * value:.2f} %" for key, value in sorted(metrics.items()) if value is not None})
    )
    for title, keys in (("run", _FACTS), ("cost", _COSTS), ("provenance", _ORIGIN)):
        console.print(_grid(title, {key: _text(row[key]) for key in keys if row[key] is not None}))
    if row["error"]:
        console.print("\n[bold red]error[/]")
        console.print(row["error"], markup=False)


def _grid(title: str, values: dict[str, str]) -> Table:
    table = Table(title=f"[bold]{title}[/]", title_justify="left", show_header=False, box=None, padding=(0, 2))
    for key, value in values.items():
        table.add_row(key, value)
    return table


def _text(value: Any) -> str:
    if isinstance(value, float):
        return "-" if math.isnan(value) else f"{value:.4g}"
    if isinstance(value, str) and value.startswith("{"):
        return ", ".join(f"{key} {entry}" for key, entry in json.loads(value).items())
    return str(value)
