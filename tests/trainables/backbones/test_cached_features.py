"""Features of a frozen backbone: computed once, shared, the same bits however many workers computed them."""

import csv
import io
import signal
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from trainables.backbones import features
from trainables.backbones.build import build_backbone
from trainables.backbones.config import BackboneConfig, Conv4, MobileNetV2
from trainables.backbones.features import cached_features
from trainables.config import RunConfig
from trainables.datasets.images import ImageSet

COUNT, WIDTH = 40, 8


def image_set(count: int = COUNT, channels: int = 1, side: int = 16, revision: str = "r1") -> ImageSet:
    pixels = np.random.default_rng(0).integers(0, 256, (count, channels, side, side), dtype=np.uint8)
    labels = np.arange(count, dtype=np.int64) % 4
    split = np.where(labels < 2, "train", "test")
    return ImageSet(pixels, labels, split, tuple("abcd"), tuple(str(i) for i in range(count)), revision)


def frozen(**settings: Any) -> RunConfig:
    return RunConfig(backbone=Conv4(width=WIDTH, trainable=False), **settings)


def entries(cache: Path) -> set[str]:
    folder = cache / "features"
    return {path.name for path in folder.iterdir() if not path.name.endswith(".lock")} if folder.exists() else set()


def test_they_are_the_backbone_s_features_in_order(tmp_path: Path) -> None:
    run, images = frozen(), image_set()
    result = cached_features(run, images, cache=tmp_path)
    assert isinstance(result, np.memmap)
    assert not result.flags.writeable
    assert (result.dtype, result.shape) == (np.float32, (COUNT, WIDTH))
    backbone = build_backbone(run.backbone, channels=1, seed=run.seed)
    expected = backbone(torch.from_numpy(images.images).float() / 255)
    torch.testing.assert_close(torch.from_numpy(np.array(result)), expected)


def test_they_are_computed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = cached_features(frozen(), image_set(), cache=tmp_path)
    monkeypatch.setattr(features, "_compute", None)
    second = cached_features(frozen(), image_set(), cache=tmp_path)
    assert first.tobytes() == second.tobytes()


@pytest.mark.parametrize("backbone", [Conv4(width=WIDTH, trainable=False), MobileNetV2(trainable=False)])
def test_bits_do_not_depend_on_workers_or_threads(tmp_path: Path, backbone: BackboneConfig) -> None:
    results, before = set(), torch.get_num_threads()
    for workers, threads in [(1, 1), (2, 1), (3, 2)]:
        torch.set_num_threads(threads)
        try:
            result = cached_features(
                RunConfig(backbone=backbone), image_set(side=33), cache=tmp_path / f"{workers}", workers=workers
            )
            assert torch.get_num_threads() == threads
        finally:
            torch.set_num_threads(before)
        results.add(result.tobytes())
    assert len(results) == 1


def test_every_chunk_is_computed_by_one_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    threads, original = set(), features._forward

    def forward(*args: Any, **kwargs: Any) -> np.ndarray:
        threads.add(torch.get_num_threads())
        return original(*args, **kwargs)

    monkeypatch.setattr(features, "_forward", forward)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        cached_features(frozen(), image_set(), cache=tmp_path, workers=2)
    finally:
        torch.set_num_threads(before)
    assert threads == {1}


@pytest.mark.parametrize(
    "other",
    [
        frozen(seed=1),
        frozen(training={"precision": "bfloat16"}),
        frozen(dataset={"name": "glyphs", "difficulty": 0.5}),
        RunConfig(backbone=Conv4(width=WIDTH, trainable=False, pooling="max")),
        RunConfig(backbone=Conv4(width=WIDTH + 1, trainable=False)),
    ],
    ids=["seed", "precision", "dataset", "pooling", "width"],
)
def test_what_changes_features_has_features_of_its_own(tmp_path: Path, other: RunConfig) -> None:
    cached_features(frozen(), image_set(), cache=tmp_path)
    cached_features(other, image_set(), cache=tmp_path)
    assert len(entries(tmp_path)) == 2


def test_other_images_or_code_have_features_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cached_features(frozen(), image_set(), cache=tmp_path)
    cached_features(frozen(), image_set(revision="r2"), cache=tmp_path)
    assert len(entries(tmp_path)) == 2
    monkeypatch.setattr(Conv4, "numerics_version", 99)
    cached_features(frozen(), image_set(), cache=tmp_path)
    assert len(entries(tmp_path)) == 3
    monkeypatch.setattr(torch, "__version__", "99.0")
    cached_features(frozen(), image_set(), cache=tmp_path)
    assert len(entries(tmp_path)) == 4


def test_what_does_not_change_features_shares_them(tmp_path: Path) -> None:
    weights = tmp_path / "net.pth"
    torch.save(build_backbone(Conv4(width=WIDTH), channels=1, seed=9).body.state_dict(), weights)
    backbone = Conv4(width=WIDTH, trainable=False, weights=str(weights))
    first = cached_features(RunConfig(backbone=backbone), image_set(), cache=tmp_path)
    for change in ({"seed": 5}, {"fold": 1}, {"embedding_dim": 7}, {"loss": "proxy_anchor"}, {"stage": "tune"}):
        run = RunConfig.model_validate({"backbone": backbone, **change})
        assert cached_features(run, image_set(), cache=tmp_path).tobytes() == first.tobytes()
    cached_features(RunConfig(backbone=backbone).simplified(), image_set(), cache=tmp_path)
    assert len(entries(tmp_path)) == 1
    expected = build_backbone(backbone, channels=1, seed=0)(torch.from_numpy(image_set().images).float() / 255)
    torch.testing.assert_close(torch.from_numpy(np.array(first)), expected)


def test_new_weights_under_the_same_name_are_noticed(tmp_path: Path) -> None:
    weights = tmp_path / "net.pth"
    run = RunConfig(backbone=Conv4(width=WIDTH, trainable=False, weights=str(weights)))
    results = set()
    for seed in (1, 2):
        torch.save(build_backbone(Conv4(width=WIDTH), channels=1, seed=seed).body.state_dict(), weights)
        results.add(cached_features(run, image_set(), cache=tmp_path).tobytes())
    assert len(results) == 2


def _flip_a_bit(folder: Path) -> None:
    content = bytearray((folder / "features.npy").read_bytes())
    content[-1] ^= 1
    (folder / "features.npy").write_bytes(content)


def _truncate(folder: Path) -> None:
    content = (folder / "features.npy").read_bytes()
    (folder / "features.npy").write_bytes(content[:-4])


def _drop_description(folder: Path) -> None:
    (folder / "about.json").unlink()


def _spoil_description(folder: Path) -> None:
    (folder / "about.json").write_text("{")


@pytest.mark.parametrize("damage", [_flip_a_bit, _truncate, _drop_description, _spoil_description])
def test_damaged_features_are_computed_again(tmp_path: Path, damage: Any) -> None:
    good = cached_features(frozen(), image_set(), cache=tmp_path).tobytes()
    damage(tmp_path / "features" / entries(tmp_path).pop())
    assert cached_features(frozen(), image_set(), cache=tmp_path).tobytes() == good


def test_progress_counts_images_and_says_what_for(tmp_path: Path) -> None:
    seen: list[tuple[int, int, str]] = []
    cached_features(frozen(), image_set(), cache=tmp_path, progress=lambda *step: seen.append(step))
    assert [done for done, _, _ in seen] == [16, 32, COUNT]
    assert {(total, text) for _, total, text in seen} == {(COUNT, "features of glyphs by conv4")}


def test_an_interrupted_computation_stops_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    computed, original = [], features._forward
    second, go_on = threading.Event(), threading.Event()

    def forward(*args: Any, **kwargs: Any) -> np.ndarray:
        computed.append(1)
        if len(computed) > 1:
            second.set()
            go_on.wait(60)
        return original(*args, **kwargs)

    def interrupt(done: int, total: int, description: str) -> None:
        assert second.wait(60), "the next chunk is computed while this one is written"
        threading.Timer(0.2, go_on.set).start()
        raise KeyboardInterrupt

    monkeypatch.setattr(features, "_forward", forward)
    before = torch.get_num_threads()
    with pytest.raises(KeyboardInterrupt) as kept:
        cached_features(frozen(), image_set(count=160), cache=tmp_path, progress=interrupt, workers=1)
    assert kept.tb is not None, "whoever keeps the traceback keeps the generator: it has to be closed, not collected"
    assert go_on.is_set(), "a chunk was still being computed after the call had ended"
    assert len(computed) <= 2, "further chunks were computed after the interruption"
    assert entries(tmp_path) == set()
    assert torch.get_num_threads() == before


def test_of_two_at_once_one_computes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    computing, original = [], features._compute
    started, release = threading.Event(), threading.Event()

    def compute(*args: Any, **kwargs: Any) -> Iterator[np.ndarray]:
        computing.append(1)
        started.set()
        release.wait(60)
        yield from original(*args, **kwargs)

    monkeypatch.setattr(features, "_compute", compute)
    results: list[bytes] = []

    def ask() -> None:
        results.append(cached_features(frozen(), image_set(), cache=tmp_path).tobytes())

    callers = [threading.Thread(target=ask) for _ in range(2)]
    callers[0].start()
    assert started.wait(60)
    callers[1].start()
    release.set()
    for caller in callers:
        caller.join(60)
    assert len(computing) == 1
    assert len(results) == 2
    assert results[0] == results[1]


_KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from test_cached_features import cached_features, frozen, image_set

def die(done, total, description):
    os.kill(os.getpid(), signal.SIGKILL)

cached_features(frozen(), image_set(), cache=Path(sys.argv[2]), progress=die)
"""


def test_a_kill_in_the_middle_leaves_nothing_that_is_read(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _KILLED, str(Path(__file__).parent), str(tmp_path / "cache")]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    half_built = entries(tmp_path / "cache")
    assert len(half_built) == 1
    assert half_built.pop().startswith(".")
    result = cached_features(frozen(), image_set(), cache=tmp_path / "cache")
    expected = cached_features(frozen(), image_set(), cache=tmp_path / "other")
    assert result.tobytes() == expected.tobytes()
    assert not any(name.startswith(".") for name in entries(tmp_path / "cache"))


def test_imagenet_features_tell_birds_apart_that_pixels_do_not(shared_data: Path, tmp_path: Path) -> None:
    images = _birds(shared_data / "cub200_2010_112px.zip", classes=12, side=97)
    weights = str(shared_data / "mobilenet_v2_imagenet_fp16.pth")
    run = RunConfig(backbone=MobileNetV2(weights=weights, trainable=False))
    result = np.array(cached_features(run, images, cache=tmp_path))
    pixels = images.images[:, :, ::6, ::6].reshape(len(result), -1) / 255
    assert _recall_at_1(result, images.labels) > 2 * _recall_at_1(pixels - pixels.mean(0), images.labels)


def _birds(archive: Path, *, classes: int, side: int) -> ImageSet:
    from PIL import Image

    with zipfile.ZipFile(archive) as files:
        rows = list(csv.DictReader(io.StringIO(files.read(f"{archive.stem}/labels.csv").decode())))
        names = sorted({row["class_name"] for row in rows if row["split"] == "test"})[:classes]
        chosen = [row for row in rows if row["class_name"] in names]
        pixels = []
        for row in chosen:
            picture = Image.open(io.BytesIO(files.read(row["path"]))).convert("RGB").resize((side, side))
            pixels.append(np.asarray(picture).transpose(2, 0, 1))
    labels = np.array([names.index(row["class_name"]) for row in chosen])
    paths = tuple(row["path"] for row in chosen)
    return ImageSet(np.stack(pixels), labels, np.full(len(chosen), "test"), tuple(names), paths, "birds")


def _recall_at_1(vectors: np.ndarray, labels: np.ndarray) -> float:
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    similarity = unit @ unit.T
    np.fill_diagonal(similarity, -np.inf)
    return float((labels[similarity.argmax(1)] == labels).mean())
