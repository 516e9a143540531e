"""How long `dml-study table` takes on a ledger of 10,000 runs x 100 epochs, and how much memory.

    python benchmarks/table_10000.py [--folder FOLDER] [--repeat 3]

Promise: under two seconds and 1 GB, the whole process with its imports. The ledger (215 cells of 47 seeds, a million
rows of epochs, compacted as drivers leave it) is made once, in FOLDER or a temporary one. Wall seconds depend on what
else the machine does; CPU seconds less.
"""

import json
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import report
from processes import timed

PROMISE_SECONDS, PROMISE_MIB = 2.0, 1000
HERE = Path(__file__).parent
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
    parser = report.parser(__doc__)
    parser.add_argument("--folder", type=Path, help="keep the ledger here, and use the one that is here")
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    about = report.begin()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary) / "ledger"
        if not (folder / "plan.json").exists():
            print(f"making a ledger in {folder} ...", flush=True)
            make(folder)
        found = measured(folder, arguments.repeat)
    show(found)
    title = f"table 10000 {report.kind()}"
    report.write(arguments.json, title, {**about, "repeat": arguments.repeat, "formats": found})


def measured(folder: Path, repeat: int) -> dict[str, dict[str, float]]:
    """Least wall and CPU seconds and the peak in MiB of the command, by format."""
    program = shutil.which("dml-study", path=str(Path(sys.executable).parent)) or "dml-study"
    command = [program, "table", str(folder)]
    found = {"terminal": timed(command, repeat=repeat)}
    for name in ("markdown", "latex", "html", "typst", "csv"):
        found[name] = timed([*command, "--format", name], repeat=repeat)
    return found


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


def show(found: Mapping[str, Mapping[str, float]]) -> None:
    print(f"{'format':10} {'wall s':>7} {'CPU s':>6} {'MiB':>5}")
    for name, each in found.items():
        kept = each["wall"] < PROMISE_SECONDS and each["peak"] < PROMISE_MIB
        print(f"{name:10} {each['wall']:7.2f} {each['cpu']:6.2f} {each['peak']:5.0f}   {'kept' if kept else 'BROKEN'}")


if __name__ == "__main__":
    main()
