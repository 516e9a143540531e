"""SIGKILL at every single write and deletion of a run: going on always ends with the same rows."""

import signal
from pathlib import Path

from killed_session import forkserver, go_on, rows, train

from trainables.config import RunConfig
from trainables.ledger import Ledger


def test_a_kill_at_any_write_changes_nothing(tiny_run: RunConfig, private_cache: Path, tmp_path: Path) -> None:
    run = tiny_run.model_copy(update={"training": tiny_run.training.model_copy(update={"epochs": 3})})
    reference = Ledger.open(tmp_path / "reference", create=True)
    go_on(run, reference, private_cache)
    expected = rows(reference)

    context = forkserver()
    outcomes = []
    for operation in range(100):
        ledger_folder = tmp_path / f"killed-{operation}"
        arguments = (run.model_dump_json(), str(ledger_folder), str(private_cache), operation, operation % 2 == 0)
        process = context.Process(target=train, args=arguments)
        process.start()
        process.join()
        outcomes.append(process.exitcode)
        if process.exitcode == 0:
            break
        ledger = Ledger.open(ledger_folder, create=True)
        committed = set(ledger.commits())
        go_on(run, ledger, private_cache)
        assert rows(ledger) == expected, f"after a kill at operation {operation}"
        assert ledger.list("checkpoints/") == []
        attempts = len(list((ledger_folder / "runs").glob("[!._]*.parquet")))
        assert attempts == 1, "a committed run was trained again" if committed else "two commits"
    assert outcomes[-1] == 0
    assert len(outcomes) > 12
    assert set(outcomes[:-1]) == {-signal.SIGKILL}
