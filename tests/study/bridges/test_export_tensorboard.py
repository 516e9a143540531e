"""Event files as TensorBoard reads them."""

import math
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from trainables.ledger import Ledger

pytestmark = pytest.mark.skipif(find_spec("tensorboard") is None, reason="extra tensorboard is not installed")

Export = Callable[..., tuple[int, str, str]]

FOLDER = Path("results/stüdy/exports/tensorboard")


def opened(run: str) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (file,) = (FOLDER / run).iterdir()
    return EventAccumulator(str(file)).Reload()


def values(run: str, tag: str) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in opened(run).Scalars(tag)]


def hparams(run: str, tag: str) -> Any:
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    content = opened(run).SummaryMetadata(f"_hparams_/{tag}").plugin_data.content
    return getattr(HParamsPluginData.FromString(content), tag)


def test_a_folder_per_run_with_its_curves(ledger: Ledger, export: Export) -> None:
    code, out, err = export("tensorboard", "stüdy")
    assert code == 0 and out.splitlines()[0] == f"wrote 14 runs to {FOLDER}"
    assert err.splitlines()[:2] == [
        "2 runs are not finished and come with a later export",
        "1 runs left the spec and are not exported",
    ]
    runs = {str(file.parent.relative_to(FOLDER)) for file in FOLDER.rglob("events*")}
    assert {"base/seed 0", "α_β/ratio 0.5/seed 1", "tuned/setting 1/seed 101", "tuned/seed 0"} <= runs and len(
        runs
    ) == 14
    assert values("base/seed 1", "train/loss") == [(1, 3.0), (2, 1.5)]
    assert values("base/seed 1", "val/map_at_r") == [(1, pytest.approx(0.01)), (2, pytest.approx(0.02))]
    assert values("base/seed 1", "selected/test_map_at_r") == [(2, pytest.approx(0.01))]
    assert values("base/seed 0", "val/recall_at_2") == [(1, pytest.approx(0.9)), (2, pytest.approx(0.9))]
    assert "val/recall_at_2" not in opened("base/seed 1").Tags()["scalars"]
    first, second = opened("base/seed 0").Scalars("lr")
    assert second.wall_time - first.wall_time == pytest.approx(10.0)


def test_hyperparameters_are_those_that_vary(ledger: Ledger, export: Export) -> None:
    export("tensorboard", "stüdy")
    started = hparams("α_β/ratio 1.0/seed 1", "session_start_info")
    assert set(started.hparams) == {"method", "seed", "embedding_dim"}
    assert started.hparams["method"].string_value == "α/β" and started.hparams["embedding_dim"].number_value == 14
    assert hparams("base/seed 0", "session_end_info").status == 1
    for unfinished in ("α_β/ratio 1.0/seed 1", "tuned/setting 1/seed 101"):
        assert hparams(unfinished, "session_end_info").status == 2


def test_the_second_training_has_curves_of_its_own_and_nan_is_shown(ledger: Ledger, export: Export) -> None:
    ledger.forget("0000000000000001")
    row = {"run_id": "0000000000000001", "attempt": "0002_01", "status": "complete", "config": "{}"}
    phases = [("select", 1, math.nan), ("refit", 1, 2.0)]
    epochs = [{"phase": phase, "epoch": epoch, "train_loss": loss} for phase, epoch, loss in phases]
    ledger.commit(row, epochs=epochs)
    export("tensorboard", "stüdy")
    ((step, loss),) = values("base/seed 0", "train/loss")
    assert step == 1 and math.isnan(loss)
    assert values("base/seed 0", "refit/train/loss") == [(2, 2.0)]


def test_names_that_the_file_system_does_not_tell_apart(ledger: Ledger, export: Export) -> None:
    record = ledger.read_plan()
    for cell, method in zip(record["cells"][:3], ("a/b", "a:b", "A_B"), strict=False):
        cell.update(method=method, axes={"dataset": "birds"})
    ledger.write_plan(record)
    export("tensorboard", "stüdy")
    runs = {str(file.parent.relative_to(FOLDER)) for file in FOLDER.rglob("events*")}
    assert {"a_b/seed 0", "a_b/seed 0 (2)", "A_B/seed 0 (3)"} <= runs and len(runs) == 14


def test_another_export_replaces_the_one_before_and_nothing_else(ledger: Ledger, export: Export) -> None:
    export("tensorboard", "stüdy")
    (FOLDER / "base" / "left over").touch()
    ledger.forget("0000000000000001")
    assert export("tensorboard", "stüdy")[0] == 0
    assert [path.name for path in (FOLDER / "base").iterdir()] == ["seed 1"]
    Path("mine").mkdir()
    Path("mine/thesis.tex").touch()
    code, _, err = export("tensorboard", "stüdy", "--to", "mine")
    assert code == 2 and "mine is not an export of dml-study and stays as it is" in err
    assert [path.name for path in Path("mine").iterdir()] == ["thesis.tex"]


def test_a_study_without_a_finished_run_is_refused(export: Export, ledger: Ledger) -> None:
    ledger.forget(*ledger.commits())
    code, _, err = export("tensorboard", "stüdy")
    assert code == 2 and "no run is finished yet" in err and not FOLDER.exists()
