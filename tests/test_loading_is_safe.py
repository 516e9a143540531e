"""Whatever a person is handed, a spec, results, weights or a data cache: reading it runs nothing of it."""

import io
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import analysis
from study.costs import read_costs
from study.invalidation import invalidated_runs
from study.plan import build_plan
from study.search.records import LedgerRecords
from study.spec import load_spec
from trainables.errors import DmlStudyError
from trainables.ledger import Ledger


class Payload:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """What exists once something was run."""
    path = tmp_path / "ran"
    pickle.loads(pickle.dumps(Payload(path)))
    assert path.exists(), "the payload would do nothing"
    path.unlink()
    return path


def torch_file(content: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


FORMATS: dict[str, Callable[[object], bytes]] = {
    "torch": torch_file,
    "pickle": lambda content: pickle.dumps(content, protocol=2),
}

SPEC = """
study: s
extends: fast_cpu
methods: {plain: {loss: norm_softmax}}
datasets: {shapes: {name: glyphs, classes: 24, images_per_class: 4, image_size: 16}}
compare: {dataset: [shapes]}
"""


@pytest.mark.parametrize(
    "value",
    [
        "!!python/object/apply:os.system ['touch TARGET']",
        "!!python/object/new:os.system ['touch TARGET']",
        "!!python/object/apply:pathlib.Path.touch [!!python/object/apply:pathlib.Path [TARGET]]",
        "!!python/name:os.system",
        "!!python/module:os",
        "!new {}",
    ],
)
@pytest.mark.parametrize("place", ["study: {}", "methods: {{plain: {}}}", "settings: {{embedding_dim: {}}}", "{}: 1"])
def test_a_spec(tmp_path: Path, target: Path, value: str, place: str) -> None:
    line = place.format(value.replace("TARGET", str(target)))
    kept = [each for each in SPEC.splitlines() if each.partition(":")[0] != line.partition(":")[0]]
    (tmp_path / "s.yaml").write_text("\n".join([*kept, line]))
    with pytest.raises(DmlStudyError, match=r"s\.yaml"):
        load_spec(tmp_path / "s.yaml")
    assert not target.exists()


def test_a_spec_cannot_name_code_to_load(tmp_path: Path, target: Path) -> None:
    (tmp_path / "evil.py").write_text(f"import pathlib; pathlib.Path({str(target)!r}).touch()")
    for line in ("plugins: [evil.py]", "plugin: evil.py"):
        (tmp_path / "s.yaml").write_text(f"{SPEC}{line}\n")
        with pytest.raises(DmlStudyError, match="plugin"):
            load_spec(tmp_path / "s.yaml")
    assert not target.exists()


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("key", ["backbone.weights", "teacher"])
def test_weights_of_a_spec(tmp_path: Path, target: Path, form: str, key: str) -> None:
    (tmp_path / "evil.pth").write_bytes(FORMATS[form]({"state_dict": {"x": Payload(target)}}))
    backbone = f"settings: {{backbone: {{name: conv4, weights: {tmp_path}/evil.pth}}}}\n"
    student = f"{{m: {{strategy: {{name: transfer, teacher: {{weights: {tmp_path}/evil.pth}}}}}}}}"
    text = SPEC.replace("{plain: {loss: norm_softmax}}", student) if key == "teacher" else SPEC + backbone
    (tmp_path / "s.yaml").write_text(text)
    with pytest.raises(DmlStudyError, match=r"evil\.pth.*(cannot be read|damaged or foreign)"):
        plan = build_plan(load_spec(tmp_path / "s.yaml"), cache=tmp_path / "cache")
        for planned in plan.runs.values():
            train(planned.config, tmp_path)
    assert not target.exists()


def train(run: Any, folder: Path) -> None:
    """Trains a run and raises what it raises."""
    from trainables.training.session import Session, SessionOptions

    ledger = Ledger.open(folder / "results", create=True)
    session = Session(run, ledger=ledger, options=SessionOptions(study="s", cache=folder / "cache"))
    while not session.done:
        session.unguarded_step()


@pytest.fixture
def results(tmp_path: Path) -> Ledger:
    ledger = Ledger.open(tmp_path / "results", create=True)
    ledger.write_plan({"study": "s", "cells": []})
    ledger.commit({"run_id": "0" * 16, "attempt": "0001_01", "status": "complete", "test_map_at_r": 0.5})
    return ledger


@pytest.mark.parametrize(
    "key", ["schema.json", "plan.json", "costs.json", "driver.json", "search/c/0.json", "invalidated/x.json"]
)
def test_records_of_a_results_folder(tmp_path: Path, target: Path, results: Ledger, key: str) -> None:
    (tmp_path / "results" / key).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / "results" / key).write_bytes(pickle.dumps(Payload(target)))
    uses: list[Callable[[], object]] = [
        lambda: Ledger.open(tmp_path / "results").read_plan(),
        lambda: read_costs(results),
        lambda: LedgerRecords(results).load("c"),
        lambda: invalidated_runs(results),
        lambda: analysis.load(tmp_path / "results"),
        lambda: results.new_attempt("0" * 16, generation=1),
    ]
    told = []
    for use in uses:
        try:
            use()
        except DmlStudyError as error:
            told.append(str(error))
    place = str(tmp_path / "results" / key)
    assert key == "costs.json" or any(place in message and "damaged" in message for message in told)
    assert not target.exists()


def test_columns_and_metadata_of_a_table(tmp_path: Path, target: Path, results: Ledger) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    payload = pickle.dumps(Payload(target))
    (part,) = (tmp_path / "results" / "runs").glob("*.parquet")
    table = pq.read_table(part)
    ours = table.schema.metadata or {}
    pandas = json.dumps({"index_columns": [], "columns": [{"name": "host", "pandas_type": "object", "metadata": None}]})
    foreign = {b"pandas": pandas.encode(), b"pickle": payload}
    host = pa.field(
        "host",
        pa.string(),
        metadata={"ARROW:extension:name": "arrow.py_extension_type", "ARROW:extension:metadata": payload},
    )
    schema = table.schema.set(table.schema.get_field_index("host"), host).with_metadata({**ours, **foreign})
    pq.write_table(table.cast(schema), part)
    assert list(results.read("runs").to_pandas()["test_map_at_r"]) == [0.5]
    assert not target.exists()


@pytest.mark.parametrize("name", ["images.npy", "features.npy"])
def test_cached_arrays(tmp_path: Path, target: Path, name: str) -> None:
    from trainables.datasets.cache import stored_images

    (tmp_path / "entry").mkdir()
    content = np.array([Payload(target)], dtype=object)
    np.save(tmp_path / "entry" / name, content, allow_pickle=True)
    with pytest.raises(ValueError, match="object"):
        stored_images(tmp_path / "entry") if name == "images.npy" else np.load(tmp_path / "entry" / name, mmap_mode="r")
    assert not target.exists()
