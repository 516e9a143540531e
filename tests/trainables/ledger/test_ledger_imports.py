"""Names, leases and plans work without the libraries that read rows."""

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import sys
from pathlib import Path
from trainables.ledger import Ledger, Lease, current_generation

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "pandas", "ray", "pyarrow", "numpy"}:
            raise AssertionError(f"{name} is loaded")

sys.meta_path.insert(0, Refuse())
loaded = {"torch", "pandas", "ray", "pyarrow", "numpy"} & set(sys.modules)
assert not loaded, loaded
ledger = Ledger.open(sys.argv[1])
assert len(ledger.commits()) == 5
with Lease(ledger) as lease:
    assert current_generation(ledger) == lease.generation == 1
    attempt = ledger.new_attempt("f" * 16, generation=lease.generation)
    ledger.update_live("f" * 16, attempt, {"epoch": 1})
    ledger.save_checkpoint("f" * 16, attempt, 1, b"state", generation=1)
    assert next(ledger.checkpoints("f" * 16)).payload == b"state"
    ledger.write_plan({"cells": []})
    ledger.sweep()
assert ledger.read_plan()["cells"] == [] and len(ledger.live()) == 1
print("fine")
"""


def test_names_leases_and_plans_load_nothing_heavy(tmp_path: Path) -> None:
    from ledger_tools import commit_runs

    from trainables.ledger import Ledger

    ledger = Ledger.open(tmp_path / "results", create=True)
    commit_runs(ledger, range(3))
    ledger.compact(minimum_parts=1)
    commit_runs(ledger, range(3, 5))
    command = [sys.executable, "-c", SCRIPT, ledger.location]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.stdout == "fine\n", answer.stderr
