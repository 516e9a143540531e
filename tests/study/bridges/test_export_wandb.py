"""Offline runs of W&B, read record by record: the package has no reader of its own."""

import json
import struct
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from study.bridges.wandb_runs import project_name
from trainables.ledger import Ledger

Export = Callable[..., tuple[int, str, str]]

FOLDER = Path("results/stüdy/exports/wandb")
_BLOCK, _HEADER = 32 * 1024, 7


def records(file: Path) -> Iterator[Any]:
    """A log in blocks of parts, each with checksum, length and kind: 1 is a whole record, 4 the end of one."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, position, record = file.read_bytes(), _HEADER, b""
    while position + _HEADER <= len(data):
        if _BLOCK - position % _BLOCK < _HEADER:
            position += _BLOCK - position % _BLOCK
            continue
        _, length, kind = struct.unpack("<IHB", data[position : position + _HEADER])
        record += data[position + _HEADER : position + _HEADER + length]
        position += _HEADER + length
        if kind in (1, 4):
            yield Record.FromString(record)
            record = b""


def of_kind(run_id: str, kind: str) -> list[Any]:
    (file,) = FOLDER.glob(f"wandb/offline-run-*-{run_id}/run-{run_id}.wandb")
    return [getattr(each, kind) for each in records(file) if each.WhichOneof("record_type") == kind]


def items(entries: Any) -> dict[str, Any]:
    return {each.key or ".".join(each.nested_key): json.loads(each.value_json) for each in entries}


def summaries(run_id: str) -> list[dict[str, Any]]:
    return [items(each.update) for each in of_kind(run_id, "summary")]


@pytest.fixture
def small(ledger: Ledger) -> Ledger:
    """Only the cell with a complete and a failed run."""
    record = ledger.read_plan()
    ledger.write_plan({**record, "cells": record["cells"][2:3], "searches": []})
    return ledger


@pytest.mark.skipif(find_spec("wandb") is None, reason="extra wandb is not installed")
def test_offline_runs_for_a_sync(small: Ledger, export: Export, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "online")
    for _ in range(2):
        code, out, _ = export("wandb", "stüdy")
        assert code == 0 and out.splitlines()[0] == f"wrote 2 runs to {FOLDER}"
    assert len(list(FOLDER.glob("wandb/*"))) == 2, "the second export takes the place of the first"
    (run,) = of_kind("0000000000000005", "run")
    assert (run.run_id, run.project, run.display_name) == ("0000000000000005", "stüdy", "α/β, seed 0")
    assert run.run_group == "α/β" and list(run.tags) == ["complete", "α/β"] and run.job_type == "confirm"
    config = items(run.config.update)
    assert config["loss"]["name"] == "norm_softmax" and config["dml_study"]["status"] == "complete"
    history = [items(each.item) for each in of_kind("0000000000000005", "history")]
    assert [(each["_step"], each["val/map_at_r"]) for each in history] == [(1, 0.025), (2, 0.05)]
    assert history[1]["_timestamp"] - history[0]["_timestamp"] == pytest.approx(10)
    summary = {
        key: value for each in of_kind("0000000000000005", "summary") for key, value in items(each.update).items()
    }
    assert summary["selected/test_map_at_r"] == 0.025
    assert [of_kind(run_id, "exit")[0].exit_code for run_id in ("0000000000000005", "0000000000000006")] == [0, 1]
    (failed,) = of_kind("0000000000000006", "run")
    assert failed.notes.endswith("TrainingError: the training loss became nan")


@pytest.mark.parametrize("tool", ["tensorboard", "mlflow", "wandb"])
def test_a_missing_package_is_one_clear_error(
    tool: str, small: Ledger, export: Export, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, tool, None)
    code, _, err = export(tool, "stüdy")
    assert code == 2 and f'install it with: pip install "dml-study[{tool}]"' in err
    assert not Path("results/stüdy/exports").exists()


def test_projects_have_names_that_wandb_takes() -> None:
    assert project_name("a/b #1: 50 %?") == "a-b -1- 50 --"
