"""One run on a terminal."""

import json
import math
from datetime import datetime
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table
from rich.text import Text

from analysis.metrics import describe
from study.cli.common import console_out
from study.cli.finding import FoundRun, known_titles, run_config
from trainables.ledger import evaluations

_FACTS = ("status", "attempt", "attempts", "study", "dataset", "stage", "seed", "fold", "selected_epoch")
_COSTS = (
    *("epochs_trained", "steps", "final_train_loss", "images_per_second"),
    *("peak_gpu_memory", "train_seconds", "wall_seconds"),
)
_ORIGIN = ("started_at", "ended_at", "host", "device", "device_name", "git_commit", "versions", "origin")


def print_run(found: FoundRun) -> None:
    """Prints what the ledger knows of a run; of an unfinished one, its configuration."""
    console = console_out()
    title = known_titles(found.ledger).get(found.run_id, "no longer in the spec")
    console.print(Text(f"run {found.run_id}", style="bold").append(f": {title}", style="not bold"))
    console.print(f"in {found.ledger.location}\n", markup=False)
    if found.run_id in found.ledger.commits():
        rows = found.ledger.read("runs").to_pylist()
        row = next(row for row in rows if row["run_id"] == found.run_id)
        added = evaluations.known(found.ledger).get((found.run_id, row["attempt"]), {})
        _print_row(console, {**row, "extra": [*added.items(), *(row["extra"] or [])]})
    else:
        console.print("not finished yet; no rows\n")
    console.print("configuration", style="bold")
    console.out(_as_spec(run_config(found).model_dump(mode="json")), highlight=False)


def _print_row(console: Console, row: dict[str, Any]) -> None:
    metrics = {key: value for key, value in row.items() if key.startswith(("val_", "test_", "best_test_"))}
    metrics = {**dict(row["extra"] or []), **{key: value for key, value in metrics.items() if value is not None}}
    shown = {key: describe(key).text(value) for key, value in sorted(metrics.items()) if value is not None}
    if shown:
        _print_grid(console, "metrics", shown)
    for title, keys in (("run", _FACTS), ("cost", _COSTS), ("provenance", _ORIGIN)):
        _print_grid(console, title, {key: _text(row[key]) for key in keys if row[key] is not None})
    if row["error"]:
        console.print("error", style="bold red")
        console.out(f"{row['error'].strip()}\n", highlight=False)


def _print_grid(console: Console, title: str, values: dict[str, str]) -> None:
    console.print(title, style="bold")
    table = Table.grid(padding=(0, 2))
    for key, value in values.items():
        table.add_row(f"  {key}", Text(value))
    console.print(table)
    console.print()


def _text(value: Any) -> str:
    if isinstance(value, float):
        return "-" if math.isnan(value) else f"{value:.4g}"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S} UTC"
    if isinstance(value, str) and value.startswith("{"):
        return ", ".join(f"{key} {entry}" for key, entry in json.loads(value).items())
    return str(value)


def _as_spec(config: dict[str, Any]) -> str:
    """A line per section, as it could stand under `settings` of a spec."""
    return "".join(
        f"  {line}\n"
        for line in yaml.safe_dump(config, default_flow_style=None, sort_keys=False, width=60).splitlines()
    ).rstrip("\n")
