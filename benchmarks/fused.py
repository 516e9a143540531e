"""Many runs on one device: a process for each, one process for all in turn, and all of them fused.

    python benchmarks/fused.py [--runs 16] [--epochs 6] [--device cpu] [--at-once 1] [--only head conv4] [--json FOLDER]

The runs differ in their seeds alone; each trains, measures itself on validation classes after every epoch, and
commits its rows. "working" is CPU seconds of that, after a run of one epoch that is not counted where a process has
several; imports, and what torch does once in a process, are in "cpu". `head` is an embedding head on the cached
features of a frozen network, `conv4` a network of four convolutions that trains. The three ways are taken one after
the other in one call, `--repeat` times; the least of each counts. Processes run `--at-once` at a time, which a GPU
allows and one core does not. Wall seconds ("training", "measuring" too) depend on what else the machine does; CPU
seconds less.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import report

if TYPE_CHECKING:
    from trainables.config import RunConfig
    from trainables.ledger import Ledger

HERE = Path(__file__).parent
WAYS = ("a process each", "one process", "fused")
MODELS: dict[str, dict[str, Any]] = {
    "head": {"backbone": {"name": "conv4", "trainable": False}},
    "head, proxy_synthesis": {"backbone": {"name": "conv4", "trainable": False}, "synthesis": "proxy_synthesis"},
    "conv4 width 4": {"backbone": {"name": "conv4", "width": 4}},
    "conv4 width 64": {"backbone": {"name": "conv4", "width": 64}},
}
Found = dict[str, dict[str, float]]


def main() -> None:
    parser = report.parser(__doc__)
    parser.add_argument("--runs", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--repeat", type=int, default=2)
    parser.add_argument("--at-once", type=int, default=1, help="processes at a time")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--only", nargs="+", default=[""], help="models whose names begin so")
    parser.add_argument("--child", nargs=3, metavar=("WAY", "SEEDS", "FOLDER"), help=argparse.SUPPRESS)
    parser.add_argument("--model", choices=MODELS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        way, seeds, folder = arguments.child
        child(arguments, way, [int(seed) for seed in seeds.split(",")], Path(folder))
        return
    about = report.begin(arguments.device)
    models = [name for name in MODELS if name.startswith(tuple(arguments.only))]
    found = {name: measured(arguments, name) for name in models}
    precision = "bfloat16" if arguments.device == "cuda" else "float32"
    title = f"fused {arguments.runs} {report.kind(arguments.device, precision=precision, package='torch')}"
    report.write(arguments.json, title, {**about, "models": found})


def measured(arguments: argparse.Namespace, model: str) -> Found:
    """By way: wall and CPU seconds of all runs, imports included, and of their training alone."""
    found: Found = {}
    with tempfile.TemporaryDirectory(prefix="fused-") as folder:
        timed(arguments, model, [[0]], "one process", Path(folder) / "warm")
        for turn in range(arguments.repeat):
            for way in WAYS:
                seeds = list(range(arguments.runs))
                processes = [[seed] for seed in seeds] if way == "a process each" else [seeds]
                seconds = timed(arguments, model, processes, way, Path(folder) / f"{way}-{turn}")
                found[way] = {key: min(value, found.get(way, seconds)[key]) for key, value in seconds.items()}
    show(model, found)
    return found


def timed(
    arguments: argparse.Namespace, model: str, processes: Sequence[Sequence[int]], way: str, folder: Path
) -> dict[str, float]:
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    with ThreadPoolExecutor(arguments.at_once) as pool:
        reports = list(pool.map(lambda seeds: in_a_process(arguments, model, seeds, way, folder), processes))
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    summed = {key: sum(report[key] for report in reports) for key in ("training", "measuring", "working")}
    return {"wall": wall, "cpu": cpu, **summed}


def in_a_process(
    arguments: argparse.Namespace, model: str, seeds: Sequence[int], way: str, folder: Path
) -> dict[str, float]:
    options = [f"--device={arguments.device}", f"--epochs={arguments.epochs}", f"--model={model}"]
    command = [sys.executable, __file__, *options, "--child", way, ",".join(map(str, seeds)), str(folder)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")
    found: dict[str, float] = json.loads(done.stdout)
    return found


def child(arguments: argparse.Namespace, way: str, seeds: Sequence[int], folder: Path) -> None:
    """Trains in this process; prints the CPU seconds of it, and the seconds that the rows of the runs tell."""
    from trainables.ledger import Ledger
    from trainables.testing.runs import changed

    cache = folder.parent / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    ledger = Ledger.open(folder, create=True)
    runs = [run_of(arguments, seed, cache) for seed in seeds]
    train: Callable[[Sequence[RunConfig], Ledger, Path], None] = together if way == "fused" else in_turn
    if way != "a process each":
        train([changed(run, training={"epochs": 1}) for run in runs[:2]], ledger, cache)
    start = time.process_time()
    train(runs, ledger, cache)
    working = time.process_time() - start
    own = {run.run_id() for run in runs}
    rows = [row for row in ledger.read("runs").to_pylist() if row["run_id"] in own]
    if [row["status"] for row in rows] != ["complete"] * len(runs):
        raise SystemExit(f"not complete: {[row['error'] for row in rows]}")
    seconds = {"training": "train_seconds", "measuring": "eval_seconds"}
    spent = {key: sum(row[column] for row in rows) for key, column in seconds.items()}
    print(json.dumps({"working": working, **spent}))


def run_of(arguments: argparse.Namespace, seed: int, cache: Path) -> "RunConfig":
    from trainables.config import RunConfig
    from trainables.datasets import catalog

    content = {
        "dataset": {"name": "glyphs", "classes": 64, "images_per_class": 64, "image_size": 16},
        "training": {"epochs": arguments.epochs, "batch_size": 128},
        "seed": seed,
        "device": arguments.device,
        **MODELS[arguments.model],
    }
    run = with_shared_features(RunConfig.model_validate(content), cache)
    return run.model_copy(update={"dataset": catalog.resolve(run.dataset, search=(), cache=cache)})


def with_shared_features(run: "RunConfig", cache: Path) -> "RunConfig":
    """A frozen network has the weights of a file, not random ones of the run's seed: heads see the same features."""
    import torch

    from trainables.backbones import weights
    from trainables.backbones.build import build_backbone

    if run.backbone.trainable:
        return run
    file = cache / "weights.pt"
    if not file.exists():
        torch.save(build_backbone(run.backbone, channels=1, seed=0).body.state_dict(), file)
    named = run.backbone.model_copy(update={"weights": str(file)})
    return run.model_copy(update={"backbone": weights.resolve(named, search=(), cache=cache)})


def in_turn(runs: "Sequence[RunConfig]", ledger: "Ledger", cache: Path) -> None:
    from trainables.training.session import Session, SessionOptions

    for run in runs:
        session = Session(run, ledger=ledger, options=SessionOptions(study="b", cache=cache))
        while not session.done:
            session.step()


def together(runs: "Sequence[RunConfig]", ledger: "Ledger", cache: Path) -> None:
    from trainables.fused.group import GroupSession, Member
    from trainables.training.session import SessionOptions

    options = SessionOptions(study="b", cache=cache)
    members = {slot: Member(run, ledger=ledger, options=options) for slot, run in enumerate(runs)}
    group = GroupSession(members, size=len(runs))
    while not group.done:
        group.step()


def show(model: str, found: Found) -> None:
    columns = ("wall", "cpu", "working", "training", "measuring")
    print(f"{model:24} " + " ".join(f"{f'{column} s':>12}" for column in columns))
    for way, row in found.items():
        print(f"  {way:22} " + " ".join(f"{row[column]:12.2f}" for column in columns))
    one, fused = found["one process"], found["fused"]
    ratios = {column: one[column] / fused[column] for column in columns}
    each = found["a process each"]
    print("  one process / fused    " + " ".join(f"{ratios[column]:12.2f}" for column in columns))
    print("  processes / fused      " + " ".join(f"{each[column] / fused[column]:12.2f}" for column in columns))
    print(flush=True)


if __name__ == "__main__":
    main()
