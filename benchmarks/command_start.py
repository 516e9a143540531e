"""How long commands take to start: whole processes of `--help`, `plan` and `status`, and the imports among it.

    python benchmarks/command_start.py [--repeat 7]

Promise: half a second of imports. Imports are what Python's `-X importtime` adds up, which slows them a little. The
study is the shipped `demo`, planned and without runs. Wall seconds depend on what else the machine does; CPU seconds
less.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import report
from processes import timed

PROMISE_SECONDS = 0.5


def main() -> None:
    parser = report.parser(__doc__)
    parser.add_argument("--repeat", type=int, default=7)
    arguments = parser.parse_args()
    about = report.begin()
    program = shutil.which("dml-study", path=str(Path(sys.executable).parent)) or "dml-study"
    with tempfile.TemporaryDirectory() as folder:
        make(folder)
        target = ["demo", "--results", folder]
        commands = {"--help": ["--help"], "plan": ["plan", *target], "status": ["status", *target]}
        found = {name: measured([program, *options], arguments.repeat) for name, options in commands.items()}
    columns = ("imports", "wall", "cpu", "modules")
    report.show(
        ["command", "imports s", "wall s", "CPU s", "modules"],
        [[name, *(each[column] for column in columns)] for name, each in found.items()],
    )
    slowest = max(each["imports"] for each in found.values())
    print(f"\nimports at most {slowest:.2f} s: {'kept' if slowest <= PROMISE_SECONDS else 'missed'}")
    report.write(arguments.json, f"command start {report.kind()}", {**about, "commands": found})


def make(folder: str) -> None:
    """A ledger with the plan of the study."""
    from study.plan import build_plan
    from study.spec import load_spec
    from study.studies import find_spec
    from trainables.ledger import Ledger

    with tempfile.TemporaryDirectory() as cache:
        Ledger.open(folder, create=True).write_plan(
            build_plan(load_spec(find_spec("demo")), cache=Path(cache)).record()
        )


def measured(command: list[str], repeat: int) -> dict[str, float]:
    """The least of `repeat` calls."""
    seconds, modules = min(imported(command) for _ in range(repeat))
    return {**timed(command, repeat=repeat), "imports": seconds, "modules": modules}


def imported(command: list[str]) -> tuple[float, int]:
    """Seconds that modules take by themselves, and their number."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *command], capture_output=True, text=True, check=True, encoding="utf-8"
    )
    lines = [line.removeprefix("import time:").split("|") for line in done.stderr.splitlines() if "|" in line]
    times = [int(own) for own, _, _ in lines if own.strip().isdigit()]
    return sum(times) / 1e6, len(times)


if __name__ == "__main__":
    main()
