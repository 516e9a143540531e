"""How long `dml-study plan` takes on a study of 10,000 runs: the whole process, from the shell's point of view.

    python benchmarks/plan_10000.py [--repeat 5] [--json FILE]

Promise: under two seconds. Two shapes: 1,000 cells of 10 seeds, and 10,000 cells of one seed (the worst case: every run
has a configuration of its own). Each once on an empty ledger and once on one with every run committed in a file of its
own (names alone count, so the files are empty). Wall seconds depend on what else the machine does; CPU seconds less.
"""

import argparse
import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import report

PROMISE_SECONDS = 2.0
TENTHS = [index / 10 for index in range(1, 11)]
SPEC = """
study: {name}
extends: fast_cpu
untrained: false
methods:
  norm-softmax + PS: {{loss: norm_softmax, synthesis: proxy_synthesis}}
compare:
  dataset: [glyphs]
{axes}
replicates: {{seeds: {seeds}}}
"""
AXES = {
    "synthesis.ratio": TENTHS,
    "synthesis.mixup_alpha": TENTHS,
    "loss.scale": list(range(1, 11)),
    "optimizer.lr": [index / 1000 for index in range(1, 11)],
}
SHAPES = {"1,000 cells x 10 seeds": (3, 10), "10,000 cells x 1 seed": (4, 1)}


@dataclass(frozen=True)
class Measurement:
    """Seconds of `repeat` calls."""

    shape: str
    committed: int
    runs: int
    wall_best: float
    wall_median: float
    cpu_best: float


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the measurements here too")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measured = [each for shape in SHAPES for each in measure(shape, Path(folder), arguments.repeat)]
    about = report.begin()
    print(f"{'study':24} {'committed':>9} {'wall best':>9} {'median':>7} {'CPU':>6}   promise {PROMISE_SECONDS:g} s")
    for each in measured:
        verdict = "kept" if each.wall_best < PROMISE_SECONDS else "BROKEN"
        numbers = f"{each.wall_best:9.2f} {each.wall_median:7.2f} {each.cpu_best:6.2f}"
        print(f"{each.shape:24} {each.committed:9} {numbers}   {verdict}")
    if arguments.json:
        arguments.json.write_text(json.dumps({**about, "measurements": [asdict(each) for each in measured]}, indent=1))


def measure(shape: str, folder: Path, repeat: int) -> list[Measurement]:
    axes, seeds = SHAPES[shape]
    lines = "\n".join(f"  {key}: {values}" for key, values in list(AXES.items())[:axes])
    spec = folder / f"axes{axes}.yaml"
    spec.write_text(SPEC.format(name=spec.stem, axes=lines, seeds=seeds))
    plan(spec)  # compiles modules, remembers the data set's revision
    empty = _measured(shape, spec, committed=0, repeat=repeat)
    committed = commit_all(spec)
    return [empty, _measured(shape, spec, committed=committed, repeat=repeat)]


def _measured(shape: str, spec: Path, *, committed: int, repeat: int) -> Measurement:
    timed = [plan(spec) for _ in range(repeat)]
    wall, cpu = [wall for wall, _ in timed], [cpu for _, cpu in timed]
    return Measurement(shape, committed, 10_000, min(wall), statistics.median(wall), min(cpu))


def plan(spec: Path) -> tuple[float, float]:
    """Wall and CPU seconds of one `dml-study plan`."""
    command = [shutil.which("dml-study", path=str(Path(sys.executable).parent)) or "dml-study", "plan", spec.name]
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, cwd=spec.parent, capture_output=True, text=True, check=True)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    assert "-> 10000 runs" in done.stdout, done.stdout
    return wall, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def commit_all(spec: Path) -> int:
    """A ledger in which every run of the plan is committed; returns how many."""
    from study.plan import build_plan
    from study.spec import load_spec
    from trainables.ledger import Ledger

    planned = build_plan(load_spec(spec)).runs
    ledger = Ledger.open(spec.parent / "results" / spec.stem, create=True)
    for run_id in planned:
        ledger.put(f"runs/{run_id}.0001_01.complete.parquet", b"", durable=False)
    return len(planned)


if __name__ == "__main__":
    main()
