"""What a trial costs around its training: runs of about a minute through `dml-study run`, and where their seconds go.

    python benchmarks/trial_overhead.py [--runs 2] [--epochs 12] [--images 8]

One run at a time, on one CPU. Training and evaluation are what the run's own rows count as such; the rest of the time
from one run's end to the next one's end is around it: the driver's decision, data that is opened, checkpoints, live
rows, commits. Start-up is what passes before the first run, once per command. A second part takes a `Session` apart in
this process, with a checkpoint after every epoch: the first step has data and network to make, the last one commits.
"""

import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from processes import Watched
from report import begin, kind, parser, show, write

if TYPE_CHECKING:
    from trainables.ledger import Ledger

SPEC = """
study: overhead
extends: fast_cpu
untrained: false
methods:
  norm-softmax: {{loss: norm_softmax}}
compare:
  dataset: [{{name: glyphs, images_per_class: {images}}}]
replicates: {{seeds: {runs}}}
settings: {{training.epochs: {epochs}}}
resources: {{cpu: 2, gpu: 0}}
"""


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--runs", type=int, default=2, help="two at least")
    options.add_argument("--epochs", type=int, default=12)
    options.add_argument("--images", type=int, default=8, help="of each of the 300 classes")
    arguments = options.parse_args()
    about = begin()
    with tempfile.TemporaryDirectory(prefix="overhead-") as folder:
        spec = Path(folder) / "overhead.yaml"
        spec.write_text(SPEC.format(images=arguments.images, runs=arguments.runs, epochs=arguments.epochs))
        launched = through_the_driver(spec, Path(folder) / "results")
        parts = of_a_session(spec, Path(folder))
    show(["seconds of a run", *launched["run"]], [["through dml-study run", *launched["run"].values()]])
    seconds = launched["run"]
    around, evaluation = (seconds[part] / seconds["whole"] for part in ("around", "evaluation"))
    print(f"around it: {around:.1%} of the run, evaluation {evaluation:.1%}, start-up ", end="")
    print(f"{launched['start-up']:.1f} s, once\n")
    show(["ms of a session", *parts], [["in one process", *parts.values()]])
    content = {**about, "runs": arguments.runs, "epochs": arguments.epochs, **launched, "session ms": parts}
    write(arguments.json, f"trial overhead {kind()}", content)


def through_the_driver(spec: Path, results: Path) -> dict[str, Any]:
    """Seconds of start-up, and of the runs after the first, on average."""
    from trainables.ledger import Ledger

    program = shutil.which("dml-study", path=str(Path(sys.executable).parent)) or "dml-study"
    command = [program, "run", str(spec), "--results", str(results)]
    with Watched(command, spec.with_name("log"), env={"OMP_NUM_THREADS": "1"}) as run:
        pass
    if run.process.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{spec.with_name('log').read_text()[-2000:]}")
    ledger = Ledger.open(results)
    rows = ledger.read("runs", columns=["run_id", "started_at", "ended_at"]).to_pylist()
    rows.sort(key=lambda row: row["ended_at"])
    inside = seconds_of_epochs(ledger)
    later = [row["run_id"] for row in rows[1:]]
    whole = (rows[-1]["ended_at"] - rows[0]["ended_at"]).total_seconds() / len(later)
    training, evaluation = (sum(inside[run_id][part] for run_id in later) / len(later) for part in (0, 1))
    seconds = {"training": training, "evaluation": evaluation, "around": whole - training - evaluation, "whole": whole}
    return {"start-up": rows[0]["started_at"].timestamp() - run.began, "run": seconds}


def seconds_of_epochs(ledger: "Ledger") -> dict[str, tuple[float, float]]:
    """Of training and of evaluation, by run."""
    columns = ["run_id", "train_seconds", "eval_seconds"]
    found: dict[str, tuple[float, float]] = {}
    for row in ledger.read("epochs", columns=columns).to_pylist():
        training, evaluation = found.get(row["run_id"], (0.0, 0.0))
        found[row["run_id"]] = training + row["train_seconds"], evaluation + row["eval_seconds"]
    return found


def of_a_session(spec: Path, folder: Path, *, most: int = 6) -> dict[str, float]:
    """Milliseconds: to build, of an epoch's training, evaluation and what is around it, and to end."""
    from study.plan import build_plan
    from study.spec import load_spec
    from trainables.datasets.catalog import cache_folder
    from trainables.ledger import Ledger
    from trainables.training.session import Session, SessionOptions

    plan = build_plan(load_spec(spec), cache=cache_folder())
    run = next(iter(plan.runs.values())).config
    run = run.model_copy(update={"training": run.training.model_copy(update={"epochs": most})})
    ledger = Ledger.open(folder / "session", create=True)
    options = SessionOptions(study="overhead", cache=cache_folder(), checkpoint_seconds=0.0)
    session = Session(run, ledger=ledger, options=options)
    steps = []
    while not session.done:
        start = time.perf_counter()
        session.step()
        steps.append(time.perf_counter() - start)
    if session.status != "complete":
        raise SystemExit("\n".join(session.lines))
    rows = session.epoch_rows
    around = [
        1000 * (step - row["train_seconds"] - row["eval_seconds"]) for step, row in zip(steps[:most], rows, strict=True)
    ]
    middle = sorted(around[1:-1])[len(around[1:-1]) // 2]
    training, evaluation = (1000 * sum(row[key] for row in rows) / most for key in ("train_seconds", "eval_seconds"))
    ends = around[-1] - middle + 1000 * sum(steps[most:])
    return {"build": around[0] - middle, "train": training, "evaluate": evaluation, "checkpoint": middle, "end": ends}


if __name__ == "__main__":
    main()
