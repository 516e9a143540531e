"""Weights files: found, named by content, loaded whole or refused with the reason."""

import hashlib
import json
import os
import re
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from trainables.backbones import weights
from trainables.backbones.build import build_backbone
from trainables.backbones.config import Conv4, GoogLeNet, MobileNetV2, ResNet18, SqueezeNet
from trainables.backbones.loading import load_weights
from trainables.backbones.weights import resolve
from trainables.errors import DataError


def state(seed: int = 1, width: int = 4) -> dict[str, Tensor]:
    return dict(build_backbone(Conv4(width=width), channels=3, seed=seed).body.state_dict())


def body(width: int = 4) -> torch.nn.Module:
    return build_backbone(Conv4(width=width), channels=3, seed=0).body


def same(module: torch.nn.Module, expected: dict[str, Tensor]) -> bool:
    return all(torch.equal(value, expected[key]) for key, value in module.state_dict().items())


class TestResolve:
    def test_makes_the_path_absolute_and_names_the_content(self, tmp_path: Path) -> None:
        (tmp_path / "second").mkdir()
        file = tmp_path / "second" / "net.pth"
        file.write_bytes(b"content")
        search = [tmp_path / "first", tmp_path / "second"]
        resolved = resolve(ResNet18(weights="net.pth"), search=search, cache=tmp_path / "cache")
        assert resolved.weights == str(file)
        assert resolved.weights_revision == hashlib.sha256(b"content").hexdigest()[:16]
        assert resolve(resolved, search=[], cache=tmp_path / "cache") == resolved

    def test_the_first_folder_wins(self, tmp_path: Path) -> None:
        for name in ("a", "b"):
            (tmp_path / name).mkdir()
            (tmp_path / name / "net.pth").write_text(name)
        resolved = resolve(ResNet18(weights="net.pth"), search=[tmp_path / "b", tmp_path / "a"], cache=tmp_path)
        assert resolved.weights == str(tmp_path / "b" / "net.pth")

    def test_no_weights_stay_no_weights(self, tmp_path: Path) -> None:
        assert resolve(Conv4(), search=[tmp_path], cache=tmp_path) == Conv4()
        assert list(tmp_path.iterdir()) == []

    def test_reads_a_file_once_until_it_changes(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        file = tmp_path / "net.pth"
        file.write_bytes(b"old")
        config = ResNet18(weights=str(file))
        read: list[Path] = []
        original = weights.file_revision
        monkeypatch.setattr(weights, "file_revision", lambda path: read.append(path) or original(path))
        first = resolve(config, search=[], cache=tmp_path / "cache")
        assert resolve(config, search=[], cache=tmp_path / "cache") == first
        assert len(read) == 1
        file.write_bytes(b"new")
        os.utime(file, ns=(1, 1))
        assert resolve(config, search=[], cache=tmp_path / "cache").weights_revision != first.weights_revision
        assert len(read) == 2

    @pytest.mark.parametrize("content", ["", "{", "[]"])
    def test_a_damaged_memory_is_made_again(self, tmp_path: Path, content: str) -> None:
        file, cache = tmp_path / "net.pth", tmp_path / "cache"
        file.write_bytes(b"content")
        cache.mkdir()
        (cache / "weights.json").write_text(content)
        resolved = resolve(ResNet18(weights=str(file)), search=[], cache=cache)
        assert json.loads((cache / "weights.json").read_text())[str(file)]["revision"] == resolved.weights_revision
        assert [path.name for path in cache.iterdir()] == ["weights.json"]

    def test_a_missing_file_lists_the_places_and_the_source(self, tmp_path: Path) -> None:
        with pytest.raises(DataError) as error:
            resolve(MobileNetV2(weights="net.pth"), search=[tmp_path / "a", tmp_path / "b"], cache=tmp_path)
        message = str(error.value)
        assert "'net.pth'" in message
        assert str(tmp_path / "a" / "net.pth") in message
        assert str(tmp_path / "b" / "net.pth") in message
        assert 'torchvision.models.get_model("mobilenet_v2", weights="DEFAULT")' in message

    def test_torch_s_hub_cache_comes_after_the_folders(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
        file = tmp_path / "torch" / "hub" / "checkpoints" / "net.pth"
        with pytest.raises(DataError, match=re.escape(str(file))):
            resolve(MobileNetV2(weights="net.pth"), search=[tmp_path / "data"], cache=tmp_path)
        file.parent.mkdir(parents=True)
        file.write_bytes(b"hub")
        found = resolve(ResNet18(weights="net.pth"), search=[tmp_path / "data"], cache=tmp_path)
        assert found.weights == str(file)
        assert found.weights_revision == hashlib.sha256(b"hub").hexdigest()[:16]
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "net.pth").write_bytes(b"own")
        found = resolve(ResNet18(weights="net.pth"), search=[tmp_path / "data"], cache=tmp_path)
        assert found.weights == str(tmp_path / "data" / "net.pth")

    @pytest.mark.parametrize(
        ("variables", "folder"),
        [
            ({"TORCH_HOME": "/t", "XDG_CACHE_HOME": "/x"}, "/t"),
            ({"XDG_CACHE_HOME": "/x"}, "/x/torch"),
            ({"TORCH_HOME": "~/t"}, "/home/somebody/t"),
            ({"TORCH_HOME": "", "XDG_CACHE_HOME": ""}, "/home/somebody/.cache/torch"),
            ({}, "/home/somebody/.cache/torch"),
        ],
    )
    def test_the_hub_cache_is_where_torch_has_it(
        self, variables: dict[str, str], folder: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("TORCH_HOME", "XDG_CACHE_HOME"):
            monkeypatch.delenv(name, raising=False)
        for name, value in {"HOME": "/home/somebody", **variables}.items():
            monkeypatch.setenv(name, value)
        assert weights.hub_cache() == Path(folder, "hub", "checkpoints")
        if "" not in variables.values():
            assert weights.hub_cache() == Path(torch.hub.get_dir(), "checkpoints").expanduser()

    def test_conv4_is_not_promised_weights_of_torchvision(self, tmp_path: Path) -> None:
        with pytest.raises(DataError) as error:
            resolve(Conv4(weights="/nowhere/net.pth"), search=[tmp_path], cache=tmp_path)
        assert "torchvision" not in str(error.value)

    def test_another_content_than_planned_is_refused(self, tmp_path: Path) -> None:
        file = tmp_path / "net.pth"
        file.write_bytes(b"other")
        config = ResNet18(weights=str(file), weights_revision="0123456789abcdef")
        with pytest.raises(DataError, match=r"backbone\.weights_revision is 0123456789abcdef"):
            resolve(config, search=[], cache=tmp_path)
        with pytest.raises(DataError, match="has the revision"):
            build_backbone(config, channels=3, seed=0)

    def test_a_revision_of_no_file_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="names no file"):
            resolve(ResNet18(weights_revision="0123456789abcdef"), search=[], cache=tmp_path)


class TestLoad:
    def test_build_loads_the_file(self, tmp_path: Path) -> None:
        torch.save(state(), tmp_path / "net.pth")
        config = resolve(Conv4(width=4, weights="net.pth"), search=[tmp_path], cache=tmp_path)
        assert same(build_backbone(config, channels=3, seed=0).body, state())

    def test_half_precision_becomes_single(self, tmp_path: Path) -> None:
        halves = {key: value.half() if value.is_floating_point() else value for key, value in state().items()}
        torch.save(halves, tmp_path / "net.pth")
        module = body()
        load_weights(module, tmp_path / "net.pth")
        assert {value.dtype for value in module.parameters()} == {torch.float32}
        assert same(module, {key: value.to(state()[key].dtype) for key, value in halves.items()})

    @pytest.mark.parametrize("layout", ["wrapped", "parallel", "both", "ordered", "old"])
    def test_other_layouts(self, tmp_path: Path, layout: str) -> None:
        content: dict[str, object] = dict(state())
        if layout in ("parallel", "both"):
            content = {f"module.{key}": value for key, value in content.items()}
        if layout in ("wrapped", "both"):
            content = {"state_dict": content, "epoch": 3}
        if layout == "ordered":
            content = OrderedDict(content)
        if layout == "old":  # before batch norm counted its steps
            content = {key: value for key, value in content.items() if not key.endswith("num_batches_tracked")}
        torch.save(content, tmp_path / "net.pth")
        module = body()
        load_weights(module, tmp_path / "net.pth")
        assert same(module, state())

    def test_a_classifier_is_left_out(self, tmp_path: Path) -> None:
        extra = {"fc.weight": torch.zeros(2, 4), "classifier.1.bias": torch.zeros(2)}
        torch.save({**state(), **extra}, tmp_path / "net.pth")
        module = body()
        load_weights(module, tmp_path / "net.pth")
        assert same(module, state())

    def test_every_kind_of_mismatch_is_named(self, tmp_path: Path) -> None:
        content = state() | {"blocks.9.weight": torch.zeros(1), "blocks.1.1.bias": torch.zeros(7)}
        del content["blocks.0.0.weight"]
        torch.save(content, tmp_path / "net.pth")
        module, before = body(), {key: value.clone() for key, value in body().state_dict().items()}
        with pytest.raises(DataError) as error:
            load_weights(module, tmp_path / "net.pth")
        message = str(error.value)
        assert str(tmp_path / "net.pth") in message
        assert "1 key missing: blocks.0.0.weight" in message
        assert "1 key not known: blocks.9.weight" in message
        assert "1 key of another shape: blocks.1.1.bias [7] instead of [4]" in message
        assert same(module, before), "a refused file changed the network"

    def test_long_lists_are_cut(self, tmp_path: Path) -> None:
        torch.save(state(width=5), tmp_path / "net.pth")
        with pytest.raises(DataError, match=r"keys of another shape: .*, \.\.\."):
            load_weights(body(), tmp_path / "net.pth")

    @pytest.mark.parametrize("content", [b"", b"<html>not found</html>", b"PK\x03\x04 truncated", bytes(range(256))])
    def test_not_a_torch_file(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "net.pth").write_bytes(content)
        with pytest.raises(DataError, match=r"net\.pth cannot be read as a torch file"):
            load_weights(body(), tmp_path / "net.pth")

    def test_code_in_a_file_is_not_run(self, tmp_path: Path) -> None:
        torch.save(body(), tmp_path / "net.pth")  # a whole module: unpickling it would import and call things
        with pytest.raises(DataError, match="tensors only"):
            load_weights(body(), tmp_path / "net.pth")

    @pytest.mark.parametrize("content", [{}, [torch.zeros(1)], {"epoch": 1}, torch.zeros(2)])
    def test_a_torch_file_without_a_state_dict(self, tmp_path: Path, content: object) -> None:
        torch.save(content, tmp_path / "net.pth")
        with pytest.raises(DataError, match="holds no state dict"):
            load_weights(body(), tmp_path / "net.pth")

    def test_a_missing_file(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="does not exist"):
            load_weights(body(), tmp_path / "net.pth")


def test_googlenet_s_file_loads_without_its_auxiliary_classifiers(tmp_path: Path) -> None:
    content = dict(build_backbone(GoogLeNet(), channels=3, seed=1).body.state_dict())
    torch.save({**content, "aux1.conv.conv.weight": torch.zeros(1), "fc.bias": torch.zeros(1)}, tmp_path / "net.pth")
    loaded = build_backbone(GoogLeNet(weights=str(tmp_path / "net.pth")), channels=3, seed=0)
    assert same(loaded.body, content)


def test_real_squeezenet_features_are_torchvision_s(shared_data: Path, tmp_path: Path) -> None:
    """On real images: those that torchvision's own model with its classifier gives to that classifier."""
    import torchvision

    file = shared_data / "squeezenet1_0_imagenet_fp16.pth"
    original = torchvision.models.squeezenet1_0(weights=None)
    original.load_state_dict({key: value.float() for key, value in torch.load(file).items()})
    given: list[Tensor] = []
    original.classifier.register_forward_pre_hook(lambda module, arguments: given.append(arguments[0]))
    pictures = _pictures(shared_data / "cub200_2010_112px.zip", count=4)
    preprocess = torchvision.transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    config = resolve(SqueezeNet(weights=file.name, pooling="avg+max"), search=[shared_data], cache=tmp_path)
    with torch.no_grad():
        scores = original.eval()(preprocess(pictures))
        features = build_backbone(config, channels=3, seed=0).eval()(pictures)
    torch.testing.assert_close(features, given[0].mean((2, 3)) + given[0].amax((2, 3)))
    assert scores.softmax(1).max() > 0.1, "the file holds trained weights"


def _pictures(archive: Path, *, count: int) -> Tensor:
    """The first images of an archive, [count, 3, 112, 112] in 0..1."""
    with zipfile.ZipFile(archive) as files:
        names = [name for name in files.namelist() if name.endswith(".jpg")][:count]
        pixels = [np.asarray(Image.open(files.open(name)).convert("RGB")) for name in names]
    return torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).float() / 255


def test_real_imagenet_weights_load(shared_data: Path, tmp_path: Path) -> None:
    config = MobileNetV2(weights="mobilenet_v2_imagenet_fp16.pth", trainable=False)
    backbone = build_backbone(resolve(config, search=[shared_data], cache=tmp_path), channels=3, seed=0)
    assert backbone(torch.rand(2, 3, 65, 65)).isfinite().all()
    wrong = config.model_copy(update={"weights": "squeezenet1_0_imagenet_fp16.pth"})
    with pytest.raises(DataError, match="keys missing"):
        build_backbone(resolve(wrong, search=[shared_data], cache=tmp_path), channels=3, seed=0)
