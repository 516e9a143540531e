"""What is exported embeds as the run's network did, and what was changed since is refused."""

import json
from collections.abc import Callable
from importlib import util
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from safetensors.torch import load_file

from trainables.config import RunConfig
from trainables.errors import ConfigError, DataError
from trainables.export import export_model, load_exported, parity
from trainables.export.manifest import MANIFEST
from trainables.ledger import Ledger
from trainables.ledger.names import embeddings_key, weights_key
from trainables.testing.runs import changed
from trainables.training import checkpoint
from trainables.training.data import load_run_data

Train = Callable[[RunConfig], str]
FILES = {"README.md", "model.json", "model.onnx", "model.safetensors", "preprocessing.json"}


@pytest.fixture
def exported(ledger: Ledger, train: Train, run: RunConfig, tmp_path: Path, private_cache: Path) -> Path:
    """Weights alone: tracing a network takes seconds."""
    formats: Any = ("safetensors",)
    export_model(ledger, train(run), target=tmp_path / "model", cache=private_cache, formats=formats)
    return tmp_path / "model"


def test_both_formats_give_the_embeddings_that_the_run_kept(
    ledger: Ledger, train: Train, photo_run: RunConfig, photos: Path, tmp_path: Path, private_cache: Path
) -> None:
    run_id, folder = train(photo_run), tmp_path / "model"
    manifest = export_model(ledger, run_id, target=folder, cache=private_cache, protocol="Data: photos.")
    assert {file.name for file in folder.iterdir()} == FILES
    data = load_run_data(photo_run, cache=private_cache)
    files = [photos / data.images.paths[position] for position in data.split.test]
    kept = checkpoint.from_bytes(ledger.get(embeddings_key(run_id)))[0]["embeddings"]

    exported = load_exported(folder)
    images = exported.transform(files)
    assert torch.equal(images, data.evaluation_batch(data.split.test)), "decoded and cropped as in evaluation"
    torch.testing.assert_close(exported.model(images), kept, rtol=1e-4, atol=1e-4)
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    for count in (1, 5):
        (found,) = session.run(["embeddings"], {"images": images[:count].numpy()})
        np.testing.assert_allclose(found, kept[:count].numpy(), rtol=1e-3, atol=1e-4)

    assert set(manifest.parity) == {"model.safetensors", "model.onnx", "embeddings that the run kept"}
    assert manifest.parity["model.safetensors"].largest_difference == 0
    assert 0 < manifest.parity["model.onnx"].relative < 1e-5
    how = json.loads((folder / "preprocessing.json").read_text())
    assert (how["resize"], how["image_size"], how["crop_size"], how["test_crop"]) == ("whole", 40, 32, 0.8)
    assert how["normalization"]["channel_order"] == "bgr"
    assert how["normalization"]["mean"] == pytest.approx([103.939 / 255, 116.779 / 255, 123.68 / 255])
    about = json.loads((folder / "model.json").read_text())
    assert about["run_id"] == run_id and about["input"]["shape"] == ["batch", 3, 32, 32]
    row = ledger.read("runs").to_pylist()[0]
    assert about["metrics"]["test_map_at_r"] == row["test_map_at_r"]
    assert set(about["training_classes"]) == {data.images.class_names[label] for label in data.split.train_classes}
    model = onnx.load(folder / "model.onnx")
    onnx.checker.check_model(model)
    assert {entry.key: entry.value for entry in model.metadata_props}["dml_study.run_id"] == run_id
    assert_anonymous(folder, local=tmp_path)
    card = (folder / "README.md").read_text()
    assert "Data: photos." in card and f"{row['test_map_at_r']:.4f}" in card and "BGR" in card


def assert_anonymous(folder: Path, *, local: Path) -> None:
    """Nothing in a folder says where things stand on this machine."""
    for file in folder.iterdir():
        content = file.read_bytes()
        assert str(local).encode() not in content and b"site-packages" not in content, file.name


def test_a_frozen_backbone_is_part_of_the_model(
    ledger: Ledger, train: Train, run: RunConfig, tmp_path: Path, private_cache: Path
) -> None:
    frozen = changed(run, backbone={"trainable": False})
    run_id = train(frozen)
    head = checkpoint.from_bytes(ledger.get(weights_key(run_id)))[0]["model"]
    assert all(key.startswith("head.") for key in head)
    formats: Any = ("safetensors",)
    manifest = export_model(ledger, run_id, target=tmp_path / "model", cache=private_cache, formats=formats)
    weights = load_file(tmp_path / "model" / "model.safetensors")
    assert any(key.startswith("backbone.") for key in weights) and torch.equal(
        weights["head.weight"], head["head.weight"]
    )
    assert manifest.parity["embeddings that the run kept"].relative < 1e-5
    assert "model.onnx" not in manifest.files


@pytest.mark.parametrize("name", ["model.safetensors", "preprocessing.json"])
def test_a_changed_file_is_refused(exported: Path, name: str) -> None:
    content = bytearray((exported / name).read_bytes())
    content[len(content) // 2] ^= 1
    (exported / name).write_bytes(content)
    with pytest.raises(DataError, match=rf"{name} was changed since it was exported"):
        load_exported(exported)


def test_what_is_no_exported_model_is_refused(exported: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="give a folder that `dml-study export model` wrote"):
        load_exported(tmp_path)
    manifest = json.loads((exported / MANIFEST).read_text())
    (exported / MANIFEST).write_text(json.dumps({**manifest, "format_version": 2}))
    with pytest.raises(DataError, match="has format version 2, this program reads 1"):
        load_exported(exported)
    (exported / MANIFEST).write_text(json.dumps({**manifest, "network": {**manifest["network"], "embedding_dim": 3}}))
    with pytest.raises(DataError, match=r"does not fit the network of its model\.json"):
        load_exported(exported)
    (exported / MANIFEST).write_text("{}")
    with pytest.raises(DataError, match="is damaged or of another version"):
        load_exported(exported)


def test_a_failed_parity_check_writes_nothing(
    ledger: Ledger, train: Train, run: RunConfig, tmp_path: Path, private_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id, formats = train(run), ("safetensors", "onnx")
    before = sorted(path.name for path in tmp_path.iterdir())
    true = parity.run_onnx
    monkeypatch.setattr(parity, "run_onnx", lambda content, images: true(content, images) + 0.01)
    with pytest.raises(DataError, match=r"parity check: embeddings of 32 test images by model.onnx differ .* by 0\.01"):
        export_model(ledger, run_id, target=tmp_path / "model", cache=private_cache, formats=formats)  # type: ignore[arg-type]
    content, _ = checkpoint.from_bytes(ledger.get(embeddings_key(run_id)))
    content["embeddings"] = content["embeddings"].flip(0)
    ledger.put(embeddings_key(run_id), checkpoint.to_bytes(content, []))
    with pytest.raises(DataError, match="by embeddings that the run kept differ"):
        export_model(ledger, run_id, target=tmp_path / "model", cache=private_cache)
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_runs_without_weights_name_the_remedy(
    ledger: Ledger, train: Train, run: RunConfig, tmp_path: Path, private_cache: Path
) -> None:
    target = tmp_path / "model"
    none = train(changed(run, keep={"weights": "none"}))
    with pytest.raises(DataError, match=r"kept no weights: add `keep: {weights: selected}` to its spec"):
        export_model(ledger, none, target=target, cache=private_cache)
    untrained = train(changed(run, strategy={"name": "untrained"}))
    with pytest.raises(DataError, match="trained nothing"):
        export_model(ledger, untrained, target=target, cache=private_cache)
    with pytest.raises(DataError, match="is not committed: only a complete run can be exported"):
        export_model(ledger, "0" * 16, target=target, cache=private_cache)
    other = train(changed(run, seed=5))
    ledger.put(weights_key(none), ledger.get(weights_key(other)))
    with pytest.raises(DataError, match="has the weights of another run"):
        export_model(ledger, none, target=target, cache=private_cache)
    assert not target.exists()


def test_missing_packages_and_taken_places_are_told_before_anything(
    ledger: Ledger, tmp_path: Path, private_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    with pytest.raises(ConfigError, match="full exists already and stays as it is"):
        export_model(ledger, "0" * 16, target=tmp_path / "full", cache=private_cache)
    found = util.find_spec
    monkeypatch.setattr(
        "trainables.export.extras.find_spec", lambda name: None if name.startswith("onnx") else found(name)
    )
    with pytest.raises(
        ConfigError, match=r'onnx, onnxscript, onnxruntime; install with: pip install "dml-study\[export\]"'
    ):
        export_model(ledger, "0" * 16, target=tmp_path / "new", cache=private_cache)
