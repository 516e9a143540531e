"""Embeddings in a file give the run's own metrics."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from trainables.config import RunConfig
from trainables.errors import ConfigError, DataError
from trainables.evaluation import retrieval_metrics
from trainables.export.embeddings import export_embeddings
from trainables.export.embeddings_file import read_embeddings
from trainables.ledger import Ledger
from trainables.ledger.names import embeddings_key, weights_key
from trainables.testing.runs import changed
from trainables.training import checkpoint
from trainables.training.data import load_run_data

Train = Callable[[RunConfig], str]
METRICS = ("recall_at_1", "r_precision", "map_at_r")


def test_kept_and_recomputed_embeddings_give_the_metrics_of_the_row(
    ledger: Ledger, train: Train, run: RunConfig, tmp_path: Path, private_cache: Path
) -> None:
    run_id = train(run)
    (row,) = ledger.read("runs").to_pylist()
    kept = export_embeddings(ledger, run_id, part="test", target=tmp_path / "kept.npz", cache=private_cache)
    ledger.delete(embeddings_key(run_id))
    computed = export_embeddings(ledger, run_id, part="test", target=tmp_path / "new.parquet", cache=private_cache)
    assert (kept.source, computed.source) == ("the embeddings that the run kept", "the weights that the run kept")
    for file in ("kept.npz", "new.parquet"):
        read = read_embeddings(tmp_path / file)
        found = retrieval_metrics(torch.from_numpy(read.embeddings), torch.from_numpy(read.labels))
        assert [found[name] for name in METRICS] == [row[f"test_{name}"] for name in METRICS]
    assert np.array_equal(kept.content.embeddings, computed.content.embeddings)
    assert all(check.exported == check.recorded for check in kept.checks) and len(kept.checks) == 6

    ledger.delete(weights_key(run_id))
    with pytest.raises(DataError, match="kept no weights"):
        export_embeddings(ledger, run_id, part="test", target=tmp_path / "none.npz", cache=private_cache)


@pytest.mark.parametrize("part", ["val", "train"])
def test_other_parts_have_their_own_images_and_names(
    ledger: Ledger, train: Train, run: RunConfig, tmp_path: Path, private_cache: Path, part: str
) -> None:
    written = export_embeddings(ledger, train(run), part=part, target=tmp_path / "x.parquet", cache=private_cache)  # type: ignore[arg-type]
    data = load_run_data(run, cache=private_cache)
    positions = {"val": data.split.val, "train": data.split.train}[part]
    table = pq.read_table(tmp_path / "x.parquet")
    assert table.column("path").to_pylist() == [data.images.paths[position] for position in positions]
    names = [data.images.class_names[data.images.labels[position]] for position in positions]
    assert table.column("class_name").to_pylist() == names and set(table.column("split").to_pylist()) == {part}
    assert len(written.checks) == (6 if part == "val" else 0)
    arrays = written.content
    assert [arrays.class_names[label] for label in arrays.labels] == names


def test_npz_loads_without_pickle(
    ledger: Ledger, train: Train, run: RunConfig, tmp_path: Path, private_cache: Path
) -> None:
    run_id = train(run)
    export_embeddings(ledger, run_id, part="test", target=tmp_path / "x.npz", cache=private_cache)
    with np.load(tmp_path / "x.npz", allow_pickle=False) as arrays:
        assert set(arrays) == {"embeddings", "labels", "class_names", "paths", "split", "about"}
        assert arrays["embeddings"].dtype == np.float32 and len(arrays["paths"]) == len(arrays["labels"])
    assert read_embeddings(tmp_path / "x.npz").about["run_id"] == run_id
    (tmp_path / "x.npz").write_bytes(b"PK nothing")
    with pytest.raises(DataError, match="no embeddings that `dml-study export embeddings` wrote"):
        read_embeddings(tmp_path / "x.npz")


def test_embeddings_of_another_run_are_refused(
    ledger: Ledger, train: Train, run: RunConfig, tmp_path: Path, private_cache: Path
) -> None:
    run_id, target = train(run), tmp_path / "x.npz"
    content, _ = checkpoint.from_bytes(ledger.get(embeddings_key(run_id)))
    shuffled = content["embeddings"][torch.randperm(len(content["embeddings"]))]
    ledger.put(embeddings_key(run_id), checkpoint.to_bytes({**content, "embeddings": shuffled}, []))
    with pytest.raises(DataError, match="these are not its embeddings"):
        export_embeddings(ledger, run_id, part="test", target=target, cache=private_cache)
    ledger.put(embeddings_key(run_id), checkpoint.to_bytes({**content, "embeddings": shuffled[1:]}, []))
    with pytest.raises(DataError, match="one of them is not what it was"):
        export_embeddings(ledger, run_id, part="test", target=target, cache=private_cache)
    with pytest.raises(ConfigError, match=r"written as \.npz or \.parquet"):
        export_embeddings(ledger, run_id, part="test", target=tmp_path / "x.csv", cache=private_cache)
    assert not list(tmp_path.glob("*x.*"))


def test_a_run_that_validates_nothing_has_no_validation_embeddings(
    ledger: Ledger, train: Train, run: RunConfig, tmp_path: Path, private_cache: Path
) -> None:
    run_id = train(changed(run, protocol={"selection": "last"}))
    with pytest.raises(DataError, match="has no val images"):
        export_embeddings(ledger, run_id, part="val", target=tmp_path / "x.npz", cache=private_cache)
