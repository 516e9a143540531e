"""How long the table of a ledger of 10,000 runs x 100 epochs takes, and how much memory: load, build, render.

    python benchmarks/table_10000.py [--folder FOLDER] [--repeat 3] [--json FILE]

Promise: under two seconds and 1 GB. The ledger (215 cells of 47 seeds, a million rows of epochs, compacted as drivers
leave it) is made once, in FOLDER or a temporary one. Every measurement is a process of its own; the imports of pandas,
pyarrow and scipy are told apart from the work. Wall seconds depend on what else the machine does; CPU seconds less.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PROMISE_SECONDS, PROMISE_GB = 2.0, 1.0
EPOCHS = 100
SPEC = """
study: table10000
extends: fast_cpu
untrained: false
methods:
  norm-softmax: {loss: norm_softmax}
  norm-softmax + PS: {loss: norm_softmax, synthesis: proxy_synthesis, baseline: norm-softmax}
compare:
  dataset: [glyphs]
  loss.scale: [8, 12, 16, 23, 32]
  synthesis.ratio: [0.1, 0.25, 0.5, 0.75, 0.9, 1.0]
  synthesis.mixup_alpha: [0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 2.0]
replicates: {seeds: 47}
settings: {training.epochs: 100}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--folder", type=Path, help="keep the ledger here, and use the one that is here")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the measurements here too")
    parser.add_argument("--child", metavar="FORMAT", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(measured(arguments.folder, arguments.child)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary) / "ledger"
        if not (folder / "plan.json").exists():
            print(f"making a ledger in {folder} ...", flush=True)
            make(folder)
        found = {
            kind: best(folder, kind, arguments.repeat)
            for kind in ("terminal", "markdown", "latex", "html", "typst", "csv")
        }
    show(found, arguments.json)


def best(folder: Path, kind: str, repeat: int) -> dict[str, float]:
    command = [sys.executable, __file__, "--folder", str(folder), "--child", kind]
    runs = [json.loads(subprocess.run(command, capture_output=True, check=True).stdout) for _ in range(repeat)]
    least = {key: min(run[key] for run in runs) for key in runs[0]}
    return {**least, "median": statistics.median(run["seconds"] for run in runs)}


def measured(folder: Path, kind: str) -> dict[str, float]:
    """Seconds of the imports and of the work, and the peak of memory in GB, of this process."""
    start = time.perf_counter()
    import pandas  # noqa: F401
    import scipy.stats  # noqa: F401

    import analysis
    from analysis import tables

    imported, cpu = time.perf_counter(), time.process_time()
    table = analysis.comparison_table(analysis.load(folder))
    if kind == "terminal":
        from rich.console import Console

        with Path(os.devnull).open("w") as nowhere:
            Console(file=nowhere, width=160).print(tables.terminal(table))
    else:
        tables.render(table, kind)
    return {
        "imports": imported - start,
        "seconds": time.perf_counter() - imported,
        "cpu": time.process_time() - cpu,
        "gigabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2,
        "rows": len(table.rows),
    }


def make(folder: Path) -> None:
    """Plans the study, and commits every run with made-up numbers."""
    from study.plan import build_plan
    from study.spec import load_spec
    from trainables.ledger import Ledger

    with tempfile.TemporaryDirectory() as temporary:
        spec = Path(temporary) / "table10000.yaml"
        spec.write_text(SPEC)
        plan = build_plan(load_spec(spec), cache=Path(temporary))
    ledger = Ledger.open(folder, create=True)
    rows = list(_rows(plan))
    print(f"{len(rows)} runs of {len(plan.cells)} cells", flush=True)
    _write(ledger, "runs", rows)
    _write(ledger, "epochs", [epoch for row in rows for epoch in _epochs(row["run_id"])])
    ledger.write_plan(plan.record())


def _rows(plan: Any) -> Iterator[dict[str, Any]]:
    import random

    draw = random.Random(0)
    for cell in plan.cells:
        level = draw.uniform(0.4, 0.6)
        for replicate in cell.replicates:
            config = {**cell.config.model_dump(mode="json"), "seed": replicate.seed}
            values = {f"{split}_{metric}": draw.gauss(level, 0.01) for split in ("val", "test") for metric in _METRICS}
            yield {
                **{"run_id": replicate.run_id, "attempt": "0001_01", "status": "complete", "study": plan.study},
                **{"dataset": "glyphs", "dataset_revision": "0" * 16, "backbone": "conv4", "embedding_dim": 64},
                **{"loss": config["loss"]["name"], "synthesis": config["synthesis"]["name"], "strategy": "plain"},
                **{"seed": replicate.seed, "fold": replicate.fold, "epochs": EPOCHS, "schema_version": 1},
                **values,
                "config": json.dumps(config),
                "extra": {"test_recall_at_2": level, "test_recall_at_4": level},
            }


_METRICS = ("recall_at_1", "r_precision", "map_at_r")


def _epochs(run_id: str) -> list[dict[str, Any]]:
    shared = {"run_id": run_id, "attempt": "0001_01", "phase": "select"}
    return [{**shared, "epoch": epoch, "train_loss": 1 / epoch, "val_map_at_r": 0.5} for epoch in range(1, EPOCHS + 1)]


def _write(ledger: Any, table: Any, rows: list[dict[str, Any]]) -> None:
    """All rows in one file, as compaction leaves them; ten thousand commits would take minutes."""
    from trainables.ledger.catalog import Index, index_name
    from trainables.ledger.tables import to_parquet, to_table

    status = ".complete" if table == "runs" else ""
    index = Index(tuple(sorted({f"{row['run_id']}.{row['attempt']}{status}.parquet" for row in rows})))
    content = to_parquet(table, to_table(table, rows), metadata={"index": index.to_json()})
    ledger.put(f"{table}/{index_name(index.file_name())}", index.to_json().encode())
    ledger.put(f"{table}/{index.file_name()}", content)


def show(found: dict[str, dict[str, float]], file: Path | None) -> None:
    about = {
        "python": platform.python_version(),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
    }
    print("\n".join(f"{key}: {value}" for key, value in about.items()), end="\n\n")
    print(f"{'format':10} {'wall':>6} {'median':>7} {'CPU':>6} {'imports':>8} {'GB':>5}")
    for kind, each in found.items():
        kept = each["seconds"] < PROMISE_SECONDS and each["gigabytes"] < PROMISE_GB
        seconds = f"{each['seconds']:6.2f} {each['median']:7.2f} {each['cpu']:6.2f} {each['imports']:8.2f}"
        print(f"{kind:10} {seconds} {each['gigabytes']:5.2f}   {'kept' if kept else 'BROKEN'}")
    if file:
        file.write_text(json.dumps({**about, "measurements": found}, indent=1))


if __name__ == "__main__":
    main()
