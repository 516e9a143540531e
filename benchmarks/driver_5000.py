"""What a study adds to 5,000 runs that do nothing, killed half-way and resumed, and what plain Ray Tune adds to them.

    python benchmarks/driver_5000.py [--runs 5000] [--default-trials 100] [--json FOLDER]

Both are driven as users drive them, on two CPUs. `dml-study run` is killed (SIGKILL) when half of the runs are
committed, and the same command goes on; its runs (strategy `nothing` of the plug-in beside this file) open a small
dataset, report one epoch and commit two rows. Plain Ray Tune trains a class that reports once and imports nothing,
with its default loggers; its driver is killed after half of the trials and `Tuner.restore` goes on. The order is
ours, Tune, Tune, ours, so that a machine that becomes slower is unfair to nobody. Workers that are not used again
(Tune's default) take so long that a part of the trials has to do.
"""

import shutil
import signal
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

from processes import Watched, timed
from report import begin, kind, parser, write

CPUS = 2
FIFTHS = 5
HERE = Path(__file__).parent
SPEC = """
study: nothing
extends: fast_cpu
untrained: false
methods:
  nothing: {{loss: norm_softmax, strategy: nothing}}
compare:
  dataset: [{{name: glyphs, classes: 16, images_per_class: 2, image_size: 16}}]
  loss.scale: {scales}
replicates: {{seeds: {seeds}}}
settings: {{training.epochs: 1, protocol.validation_folds: 2}}
resources: {{cpu: 1, gpu: 0}}
"""
Found = dict[str, Any]


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--runs", type=int, default=5000, help="a multiple of 100")
    options.add_argument("--default-trials", type=int, default=100, help="trials of Tune without reuse_actors")
    arguments = options.parse_args()
    about = begin()
    with tempfile.TemporaryDirectory(prefix="driver-") as folder:
        found = measured(Path(folder), arguments.runs, arguments.default_trials)
    show(found)
    write(arguments.json, f"driver {arguments.runs} {kind()}", {**about, **found})


def measured(folder: Path, runs: int, default_trials: int) -> Found:
    ours, plain = Study(folder, runs), PlainTune(folder, runs)
    found: Found = {"runs": runs, "commands": {"plan, none done": ours.plan()}}
    halves: dict[str, list[Found]] = {"dml-study": [ours.first_half()], "Ray Tune": [plain.first_half()]}
    halves["Ray Tune"].append(plain.second_half())
    found["commands"] |= {"plan, half done": ours.plan(), "status, half done": ours.command("status")}
    halves["dml-study"].append(ours.second_half())
    found["commands"] |= {"plan, all done": ours.plan()}
    found["commands"] |= {f"{name}, all done": ours.command(name) for name in ("status", "table")}
    found["fifths"] = {"dml-study": ours.fifths(), "Ray Tune": plain.fifths()}
    if default_trials:
        halves["Ray Tune, new workers"] = [PlainTune(folder, default_trials, reuse=False).whole()]
    return {**found, "parts": halves}


class Study:
    """The study of `runs` runs, and its command line."""

    def __init__(self, folder: Path, runs: int) -> None:
        self._folder, self._runs = folder, runs
        self._spec, self._results = folder / "nothing.yaml", folder / "ours" / "nothing"
        self._spec.write_text(SPEC.format(scales=list(range(1, 101)), seeds=runs // 100))
        self._program = shutil.which("dml-study", path=str(Path(sys.executable).parent)) or "dml-study"
        self._options = ["--results", str(self._results), "--plugin", str(HERE / "nothing.py")]

    def plan(self) -> Found:
        return timed([self._program, "plan", str(self._spec), *self._options], repeat=3)

    def command(self, name: str) -> Found:
        return timed([self._program, name, str(self._results)], repeat=3)

    def first_half(self) -> Found:
        with self._run("first") as run:
            run.until(lambda: len(self._ended()) >= self._runs // 2, every=0.5)
            run.process.send_signal(signal.SIGKILL)
        return self._of(run, since=set())

    def second_half(self) -> Found:
        before, seen = set(self._ended()), []

        def started() -> bool:
            if any(".0002_" in key.name for key in (self._results / "live").iterdir()):
                seen.append(time.time())
            return bool(seen)

        with self._run("second") as run:
            run.until(started, every=0.02)
        return {**self._of(run, since=before), "to first run": seen[0] - run.began}

    def fifths(self) -> list[float]:
        return fifths(sorted(ended for _, ended in self._times().values()))

    def _run(self, name: str) -> Watched:
        command = [self._program, "run", str(self._spec), *self._options]
        return Watched(command, self._folder / f"ours-{name}.log", env={"OMP_NUM_THREADS": "1"})

    def _of(self, run: Watched, *, since: set[str]) -> Found:
        times = [each for run_id, each in self._times().items() if run_id not in since]
        return summary(run, [start for start, _ in times], [end for _, end in times])

    def _ended(self) -> list[str]:
        from trainables.ledger import Ledger

        return list(Ledger.open(self._results).commits()) if (self._results / "schema.json").exists() else []

    def _times(self) -> dict[str, tuple[float, float]]:
        from trainables.ledger import Ledger

        rows = Ledger.open(self._results).read("runs", columns=["run_id", "started_at", "ended_at"]).to_pylist()
        return {row["run_id"]: (row["started_at"].timestamp(), row["ended_at"].timestamp()) for row in rows}


class PlainTune:
    """The same number of trials in plain Ray Tune."""

    def __init__(self, folder: Path, trials: int, *, reuse: bool = True) -> None:
        self._folder = folder / ("tune" if reuse else "tune-default")
        self._folder.mkdir()
        self._trials, self._reuse = trials, ["--reuse"] if reuse else []

    def first_half(self) -> Found:
        return self._measured("--kill-at", str(self._trials // 2))

    def second_half(self) -> Found:
        found = self._measured("--restore")
        numbers = [line.split()[1] for line in self._lines("ended")]
        return {**found, "trained twice": len(numbers) - len(set(numbers)), "missing": self._trials - len(set(numbers))}

    def whole(self) -> Found:
        return self._measured()

    def fifths(self) -> list[float]:
        return fifths(sorted(float(line.split()[0]) for line in self._lines("ended")))

    def _measured(self, *options: str) -> Found:
        before = len(self._lines("started")), len(self._lines("ended"))
        script = [sys.executable, str(HERE / "plain_tune.py"), str(self._folder), "--trials", str(self._trials)]
        with Watched([*script, "--cpus", str(CPUS), *self._reuse, *options], self._folder / "log") as run:
            pass
        times = [
            [float(line.split()[0]) for line in self._lines(name)[count:]]
            for name, count in zip(("started", "ended"), before, strict=True)
        ]
        if not times[1]:
            raise SystemExit(f"plain Ray Tune trained nothing:\n{(self._folder / 'log').read_text()[-2000:]}")
        return {**summary(run, *times), "to first run": min(times[0]) - run.began}

    def _lines(self, name: str) -> list[str]:
        path = self._folder / name
        return path.read_text().splitlines() if path.exists() else []


def summary(run: Watched, started: list[float], ended: list[float]) -> Found:
    """Seconds, and milliseconds per run between the first run's start and the last one's end."""
    phase, count = max(ended) - min(started), len(ended)
    usage = {kind: {"cpu": each.cpu, "peak": each.peak} for kind, each in run.usage().items()}
    return {"wall": run.wall, "runs": count, "per run ms": 1000 * phase / count, "usage": usage}


def fifths(ends: list[float]) -> list[float]:
    """Milliseconds per run in each fifth, without its longest gap: one of them is that between kill and restart."""
    size = max(1, len(ends) // FIFTHS)
    parts = [ends[start : start + size + 1] for start in range(0, size * FIFTHS, size)]
    return [1000 * (sum(gaps) - max(gaps)) / max(1, len(gaps) - 1) for gaps in map(differences, parts)]


def differences(values: list[float]) -> list[float]:
    return [later - earlier for earlier, later in pairwise(values)]


def show(found: Found) -> None:
    head = f"{'':24} {'runs':>5} {'wall s':>7} {'ms/run':>7} {'1st run s':>9}"
    print(f"{head} {'CPU ms/run':>10} {'driver':>7} {'workers':>8} {'Ray':>6} {'driver MiB':>10} {'worker MiB':>10}")
    for name, parts in found["parts"].items():
        for part, each in zip(("first half", "resumed") if len(parts) == 2 else ("all",), parts, strict=True):
            cpu = {kind: 1000 * usage["cpu"] / each["runs"] for kind, usage in each["usage"].items()}
            first = f"{each['to first run']:9.1f}" if "to first run" in each else f"{'':9}"
            line = f"{f'{name}, {part}':24.24} {each['runs']:5} {each['wall']:7.1f} {each['per run ms']:7.1f} {first}"
            kinds = f"{sum(cpu.values()):10.1f} {cpu['driver']:7.1f} {cpu['workers']:8.1f} {cpu['rest']:6.1f}"
            print(f"{line} {kinds} {each['usage']['driver']['peak']:10.0f} {each['usage']['workers']['peak']:10.0f}")
    ours, plain = found["parts"]["dml-study"], found["parts"]["Ray Tune"]
    total, other = (sum(part["wall"] for part in parts) for parts in (ours, plain))
    print(f"\nboth halves: dml-study {total:.1f} s, Ray Tune {other:.1f} s (ratio {total / other:.2f})")
    print(f"Ray Tune after the restore: {plain[1]['trained twice']} trained twice, {plain[1]['missing']} missing")
    for name, each in found["fifths"].items():
        print(f"ms/run, fifth by fifth: {name:10} {' '.join(f'{value:6.1f}' for value in each)}")
    print(f"\n{'command':20} {'wall s':>7} {'CPU s':>6} {'MiB':>5}")
    for name, each in found["commands"].items():
        print(f"{name:20} {each['wall']:7.2f} {each['cpu']:6.2f} {each['peak']:5.0f}")


if __name__ == "__main__":
    main()
