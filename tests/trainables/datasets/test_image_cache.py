"""The cache of decoded images: built once, whole or absent, and never read when it is damaged."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from trainables.datasets import cache as image_cache
from trainables.datasets import decoded as decoded_images
from trainables.datasets.catalog import images_folder, load_images, resolve, verify_images
from trainables.datasets.config import DatasetConfig, ImageFolder
from trainables.datasets.image_folder import ImageFolder as Source
from trainables.datasets.images import ImageSet
from trainables.datasets.metadata import digest
from trainables.errors import DataError

MakeTree = Callable[..., Path]

# Loads the dataset argv[1] into the cache argv[2]: touches argv[3].ready before, argv[3] at the first image that it
# decodes, and then waits for argv[4]. Prints how many images it decoded and the checksum of what it got.
LOADER = """
import hashlib, sys, time
from pathlib import Path
from trainables.datasets.catalog import load_images, resolve
from trainables.datasets.config import ImageFolder
from trainables.datasets import decoding

decoded, original = [], decoding.decode

def decode(name, *args, **kwargs):
    decoded.append(name)
    Path(sys.argv[3]).touch()
    while not Path(sys.argv[4]).exists():
        time.sleep(0.01)
    return original(name, *args, **kwargs)

decoding.decode = decode
cache = Path(sys.argv[2])
config = resolve(ImageFolder(path=sys.argv[1], image_size=8), search=(), cache=cache)
Path(sys.argv[3] + ".ready").touch()
images = load_images(config, cache=cache)
print(len(decoded), hashlib.sha256(images.images.tobytes()).hexdigest())
"""


@pytest.fixture
def config(make_tree: MakeTree, cache: Path) -> DatasetConfig:
    """A resolved dataset of eight images."""
    return resolve(ImageFolder(path=str(make_tree()), image_size=8), search=(), cache=cache)


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """One entry per time that a dataset is opened to be decoded."""
    opened: list[str] = []
    original = Source.open

    def spy(source: Source) -> object:
        opened.append(source.config.path)
        return original(source)

    monkeypatch.setattr(Source, "open", spy)
    return opened


def _loader(config: DatasetConfig, cache: Path, started: Path, go_on: Path) -> subprocess.Popen[str]:
    assert isinstance(config, ImageFolder)
    arguments = [config.path, str(cache), str(started), str(go_on)]
    return subprocess.Popen([sys.executable, "-c", LOADER, *arguments], stdout=subprocess.PIPE, text=True)


def _wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    while not path.exists():
        assert process.poll() is None, "the loader ended before it decoded anything"
        time.sleep(0.01)


def _entries(cache: Path) -> list[str]:
    return sorted(path.name for path in (cache / "images").iterdir() if not path.name.endswith(".lock"))


def _same(a: ImageSet, b: ImageSet) -> bool:
    return (
        np.array_equal(a.images, b.images)
        and np.array_equal(a.labels, b.labels)
        and np.array_equal(a.split, b.split)
        and (a.paths, a.class_names, a.revision, a.key) == (b.paths, b.class_names, b.revision, b.key)
    )


def test_images_are_decoded_once(config: DatasetConfig, cache: Path, builds: list[str]) -> None:
    first = load_images(config, cache=cache)
    assert _same(first, load_images(config, cache=cache))
    assert len(builds) == 1
    assert first.key == images_folder(config, cache=cache).name
    assert _entries(cache) == [first.key]


def test_a_cached_dataset_may_be_absent(config: DatasetConfig, cache: Path) -> None:
    first = load_images(config, cache=cache)
    shutil.rmtree(config.path)  # type: ignore[attr-defined]
    assert _same(first, load_images(config, cache=cache))


def test_an_unresolved_configuration_is_resolved_first(config: DatasetConfig, cache: Path) -> None:
    images = load_images(config.model_copy(update={"revision": ""}), cache=cache)
    assert images.revision == config.revision


def test_parameters_content_and_decoder_have_entries_of_their_own(
    config: DatasetConfig, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = ({"image_size": 9}, {"channels": 1}, {"resize": "crop"}, {"revision": "0" * 16})
    configs = [config, *(config.model_copy(update=change) for change in changes)]
    folders = {images_folder(each, cache=cache) for each in configs}
    monkeypatch.setattr(Source, "decoder", lambda source: "pillow 0")
    folders.add(images_folder(config, cache=cache))
    assert len(folders) == 6
    monkeypatch.setattr(type(config), "numerics_version", config.numerics_version + 1)
    assert images_folder(config, cache=cache) not in folders


def test_names_and_places_share_an_entry(config: DatasetConfig, cache: Path) -> None:
    other = config.model_copy(update={"label": "birds", "path": "/elsewhere"})
    assert images_folder(other, cache=cache) == images_folder(config, cache=cache)


def test_progress_is_reported_up_to_the_end(make_tree: MakeTree, cache: Path) -> None:
    tree = make_tree({"train/a": 40, "test/b": 30})
    config = resolve(ImageFolder(path=str(tree), image_size=8, label="birds"), search=(), cache=cache)
    seen: list[tuple[int, int, str]] = []
    load_images(config, cache=cache, progress=lambda *report: seen.append(report))
    assert seen == [(32, 70, "decoding birds"), (64, 70, "decoding birds"), (70, 70, "decoding birds")]


def test_images_keep_their_order_whichever_thread_decodes_them(
    make_tree: MakeTree, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = make_tree({"train/a": 150, "test/b": 90})
    config = resolve(ImageFolder(path=str(tree), image_size=8), search=(), cache=cache)
    images, threads = {}, set()
    for workers in (1, 4):
        monkeypatch.setattr(decoded_images, "processors", lambda workers=workers: workers)
        with Source(config).open() as (index, read):  # type: ignore[arg-type]

            def slow_first(number: int) -> np.ndarray:
                threads.add(threading.get_ident())
                time.sleep(0.002 * (number % 64 == 0))
                return read(number)

            folder = cache / str(workers)
            folder.mkdir(parents=True)
            record = {"revision": config.revision}
            image_cache.write_images(folder, index, slow_first, shape=(3, 8, 8), record=record)
            images[workers] = (folder / image_cache.IMAGES).read_bytes()
            one = read(200)
        assert np.array_equal(np.load(folder / image_cache.IMAGES)[200], one)
    assert images[1] == images[4]
    assert len(threads) > 1


def test_content_that_changed_since_the_plan_is_refused(config: DatasetConfig, cache: Path) -> None:
    (Path(config.path) / "train/a/0.png").unlink()  # type: ignore[attr-defined]
    with pytest.raises(DataError, match=f"planned with revision {config.revision}"):
        load_images(config, cache=cache)
    assert _entries(cache) == []


def test_content_that_changes_while_it_is_decoded_is_refused(
    config: DatasetConfig, cache: Path, save_image: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    original = image_cache.write_images

    def write_and_change(*args: object, **kwargs: object) -> None:
        original(*args, **kwargs)  # type: ignore[arg-type]
        save_image(Path(config.path) / "train/a/0.png", seed=99)  # type: ignore[attr-defined]

    monkeypatch.setattr(image_cache, "write_images", write_and_change)
    with pytest.raises(DataError, match="changed"):
        load_images(config, cache=cache)
    assert _entries(cache) == []


def _break_json(folder: Path) -> None:
    (folder / image_cache.METADATA).write_text('{"sha256": "')


def _empty_json(folder: Path) -> None:
    (folder / image_cache.METADATA).write_text("[]")


def _swap_labels(folder: Path) -> None:
    metadata = json.loads((folder / image_cache.METADATA).read_text())
    metadata["content"]["labels"].reverse()
    (folder / image_cache.METADATA).write_text(json.dumps(metadata))


def _drop_metadata(folder: Path) -> None:
    (folder / image_cache.METADATA).unlink()


def _drop_images(folder: Path) -> None:
    (folder / image_cache.IMAGES).unlink()


def _truncate_images(folder: Path) -> None:
    os.truncate(folder / image_cache.IMAGES, (folder / image_cache.IMAGES).stat().st_size - 1)


def _lengthen_images(folder: Path) -> None:
    os.truncate(folder / image_cache.IMAGES, (folder / image_cache.IMAGES).stat().st_size + 1)


def _other_format(folder: Path) -> None:
    content = json.loads((folder / image_cache.METADATA).read_text())["content"] | {"format": 0}
    (folder / image_cache.METADATA).write_text(json.dumps({"sha256": digest(content), "content": content}))


@pytest.mark.parametrize(
    "damage",
    [
        *(_break_json, _empty_json, _swap_labels, _drop_metadata),
        *(_drop_images, _truncate_images, _lengthen_images, _other_format),
    ],
)
def test_a_damaged_entry_is_built_again_and_reported(
    damage: Callable[[Path], None],
    config: DatasetConfig,
    cache: Path,
    builds: list[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    first = load_images(config, cache=cache)
    expected = first.images.copy()
    folder = images_folder(config, cache=cache)
    damage(folder)
    with pytest.raises(DataError, match=f"{folder} is damaged"):
        verify_images(config, cache=cache)
    second = load_images(config, cache=cache)
    assert np.array_equal(second.images, expected)
    assert second.labels.tolist() == first.labels.tolist()
    assert len(builds) == 2
    assert [record.getMessage().split(" (")[0] for record in caplog.records] == [f"image cache {folder} is damaged"]
    verify_images(config, cache=cache)


def test_a_flipped_pixel_is_found_by_verify(config: DatasetConfig, cache: Path) -> None:
    load_images(config, cache=cache)
    folder = images_folder(config, cache=cache)
    verify_images(config, cache=cache)
    with (folder / image_cache.IMAGES).open("r+b") as stream:
        stream.seek(-1, os.SEEK_END)
        last = stream.read(1)[0]
        stream.seek(-1, os.SEEK_END)
        stream.write(bytes([last ^ 1]))
    with pytest.raises(DataError, match="checksum of images"):
        verify_images(config, cache=cache)


def test_two_processes_at_once_decode_once(config: DatasetConfig, cache: Path, tmp_path: Path) -> None:
    go_on = tmp_path / "go"
    first = _loader(config, cache, tmp_path / "first", go_on)
    _wait_for(tmp_path / "first", first)
    second = _loader(config, cache, tmp_path / "second", go_on)
    _wait_for(tmp_path / "second.ready", second)
    time.sleep(0.3)  # it meets the lock; should it be slower than that, it meets the finished cache
    go_on.touch()
    (count, digest), (other_count, other_digest) = (each.communicate()[0].split() for each in (first, second))
    assert (int(count), int(other_count)) == (8, 0)
    assert digest == other_digest
    assert not (tmp_path / "second").exists()


def test_a_kill_in_the_middle_leaves_nothing_that_is_read(config: DatasetConfig, cache: Path, tmp_path: Path) -> None:
    killed = _loader(config, cache, tmp_path / "started", tmp_path / "never")
    _wait_for(tmp_path / "started", killed)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    (half,) = _entries(cache)
    assert half != images_folder(config, cache=cache).name
    images = load_images(config, cache=cache)
    assert _entries(cache) == [images.key], "what the killed process left behind is still there"
    verify_images(config, cache=cache)


def test_a_disk_without_room_is_noticed_before_decoding(
    config: DatasetConfig, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil._ntuple_diskusage(1000, 900, 100)  # type: ignore[attr-defined]
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(DataError, match=rf"{cache}/images: .* MiB needed and .* MiB free.*DML_STUDY_CACHE"):
        load_images(config, cache=cache)
    assert _entries(cache) == []


def test_a_write_that_fails_in_the_middle_names_folder_and_bytes(config: DatasetConfig, cache: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))  # every file of this process ends at 1000 bytes
    try:
        with pytest.raises(DataError, match=rf"{cache}/images: the disk is full, \S+ MiB needed"):
            load_images(config, cache=cache)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert _entries(cache) == []
    load_images(config, cache=cache)


def test_a_cache_folder_that_cannot_be_made_is_named(config: DatasetConfig, tmp_path: Path) -> None:
    (tmp_path / "blocked").write_text("a file")
    with pytest.raises(DataError, match=r"blocked/\w+ cannot be written .*DML_STUDY_CACHE"):
        load_images(config, cache=tmp_path / "blocked")


def test_a_source_that_breaks_its_shape_is_an_error(config: DatasetConfig, cache: Path) -> None:
    cache.mkdir(exist_ok=True)
    with Source(config).open() as (index, read), pytest.raises(ValueError, match="instead of uint8"):  # type: ignore[arg-type]
        image_cache.write_images(cache, index, read, shape=(1, 8, 8), record={"revision": ""})
