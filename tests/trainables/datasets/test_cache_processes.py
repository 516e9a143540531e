"""The cache of decoded images among real processes: killed in the middle, out of disk, their dataset changed."""

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainables.datasets.catalog import images_folder, load_images, resolve, verify_images
from trainables.datasets.config import ImageFolder

COUNT, SIDE, FIRST = 600, 32, 400
"""Images, pixels of a side, and how many are decoded before a loader waits."""

# Loads the dataset argv[1] into the cache argv[2]. Touches argv[3].ready before, argv[3].started after `FIRST` images,
# and then waits for argv[3].go. Prints the error, or a checksum of what it got and how many images it decoded.
LOADER = f"""
import hashlib, itertools, json, sys, time
from pathlib import Path
from trainables.datasets import decoding
from trainables.datasets.catalog import load_images
from trainables.datasets.config import ImageFolder
from trainables.errors import DataError

config, cache = ImageFolder.model_validate_json(sys.argv[1]), Path(sys.argv[2])
started, go = Path(sys.argv[3] + ".started"), Path(sys.argv[3] + ".go")
original, counter, done = decoding._decoded, itertools.count(), []

def decoded(*arguments, **named):
    if next(counter) >= {FIRST}:
        started.touch()
        while not go.exists():
            time.sleep(0.01)
    done.append(1)
    return original(*arguments, **named)

decoding._decoded = decoded
Path(sys.argv[3] + ".ready").touch()
try:
    images = load_images(config, cache=cache)
    pixels = images.images[:].tobytes()
    print(json.dumps({{"sha256": hashlib.sha256(pixels).hexdigest(), "decoded": len(done)}}))
except DataError as error:
    print(json.dumps({{"error": str(error)}}))
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Hundreds of images: their array is written in many pieces."""
    folder = tmp_path_factory.mktemp("many")
    pixels = np.random.default_rng(0).integers(0, 256, (COUNT, SIDE, SIDE, 3), dtype=np.uint8)
    for number, image in enumerate(pixels):
        place = folder / ("train/a" if number % 2 else "test/b")
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place / f"{number:03d}.bmp")
    return folder


Start = Callable[[ImageFolder, str], subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: Path, cache: Path) -> Iterator[Start]:
    """Starts a loader with a name; none is left behind."""
    loaders = []

    def popen(config: ImageFolder, name: str) -> subprocess.Popen[str]:
        arguments = [config.model_dump_json(), str(cache), str(tmp_path / name)]
        loaders.append(subprocess.Popen([sys.executable, "-c", LOADER, *arguments], stdout=subprocess.PIPE, text=True))
        return loaders[-1]

    yield popen
    for loader in loaders:
        loader.kill()
        loader.wait()
        assert loader.stdout is not None
        loader.stdout.close()


def planned(tree: Path, cache: Path, decode: str = "once") -> ImageFolder:
    config = ImageFolder.model_validate({"path": str(tree), "image_size": SIDE, "decode": decode})
    resolved = resolve(config, search=(), cache=cache)
    assert isinstance(resolved, ImageFolder)
    return resolved


def wait_for(happened: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    while not happened():
        assert process.poll() is None, "the loader ended before"
        time.sleep(0.01)


def entries(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.glob("*/*") if path.parent.name != "hashes" and path.suffix != ".lock")


@pytest.mark.parametrize("decode", ["once", "each_time"])
def test_a_kill_in_the_middle_and_another_process_that_waits(
    tree: Path, cache: Path, tmp_path: Path, start: Start, decode: str
) -> None:
    """The one that waits for the lock starts anew, and neither it nor later ones see a part of what was written."""
    config = planned(tree, cache, decode)
    folder = images_folder(config, cache=cache)
    half = folder.with_name(f".{folder.name}.new")
    killed = start(config, "killed")
    wait_for((tmp_path / "killed.started").exists, killed)
    if decode == "once":
        array = half / "images.npy"
        wait_for(lambda: array.stat().st_size > COUNT * 3 * SIDE * SIDE // 4, killed)
        assert array.stat().st_size < COUNT * 3 * SIDE * SIDE
    (tmp_path / "waits.go").touch()
    waits = start(config, "waits")
    wait_for((tmp_path / "waits.ready").exists, waits)
    time.sleep(0.1)  # it meets the lock; should it be slower than that, it meets what was left behind
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    found = json.loads(waits.communicate()[0])
    assert found["decoded"] == COUNT * (1 if decode == "once" else 2)
    assert entries(cache) == [folder.name]
    verify_images(config, cache=cache)
    fresh = load_images(planned(tree, tmp_path / "fresh"), cache=tmp_path / "fresh").images[:]
    assert np.array_equal(load_images(config, cache=cache).images[:], fresh)


@pytest.mark.parametrize("kind", ["folder", "zip"])
@pytest.mark.parametrize("change", ["an image that was decoded", "an image that is still to come"])
def test_a_dataset_that_changes_while_another_process_decodes_it(
    tree: Path, cache: Path, tmp_path: Path, start: Start, zipped: Callable[..., Path], kind: str, change: str
) -> None:
    copied = Path(shutil.copytree(tree, tmp_path / "copied"))
    source = copied if kind == "folder" else zipped(copied)
    config = planned(source, cache)
    loader = start(config, "loader")
    wait_for((tmp_path / "loader.started").exists, loader)
    name = "test/b/000.bmp" if change == "an image that was decoded" else "train/a/599.bmp"
    Image.new("RGB", (SIDE, SIDE)).save(copied / name)
    if kind == "zip":
        zipped(copied, name="new.zip").replace(source)
    (tmp_path / "loader.go").touch()
    error = json.loads(loader.communicate()[0])["error"]
    assert f"planned with revision {config.revision}" in error
    assert "plan the study again" in error
    assert entries(cache) == []


IN_A_SMALL_DISK = """
import os, sys
from pathlib import Path
disk, program = Path(sys.argv[1]), sys.argv[2]
if os.system(f"mount -t tmpfs -o size={sys.argv[3]} tmpfs {disk} 2>/dev/null"):
    sys.exit(77)
sys.argv = ["loader", *sys.argv[4:]]
exec(program)
print([path.name for path in disk.glob("*/*") if path.parent.name == "images" and path.suffix != ".lock"])
"""


@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs unshare to mount a small disk")
def test_a_disk_that_fills_up_while_images_are_decoded(tree: Path, tmp_path: Path) -> None:
    """A real one of 3 MB: there is room at first, and then something else takes it."""
    disk, filler = tmp_path / "disk", f"Path({str(tmp_path / 'disk')!r}, 'other').write_bytes(bytes(2 << 20))"
    disk.mkdir()
    config = planned(tree, tmp_path / "plan")
    (tmp_path / "loader.go").touch()
    program = LOADER.replace("started.touch()", f"started.exists() or started.touch() or {filler}")
    arguments = [str(disk), program, "3m", config.model_dump_json(), str(disk), str(tmp_path / "loader")]
    command = ["unshare", "--mount", "--map-root-user", sys.executable, "-c", IN_A_SMALL_DISK, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip(f"no small disk can be mounted: {done.stderr}")
    assert done.returncode == 0, done.stderr
    error, left = done.stdout.splitlines()
    assert f"{disk}/images: the disk is full" in error
    assert "No space left on device" in error
    assert "dataset.decode: each_time" in error
    assert left == "[]"


@pytest.mark.parametrize("limit", ["2MB", "2.5 mb", "1843199"])
def test_a_limit_is_asked_before_anything_is_decoded(
    tree: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    from trainables.datasets import decoding
    from trainables.errors import DataError

    config = planned(tree, cache)
    monkeypatch.setenv("DML_STUDY_CACHE_LIMIT", limit)
    small = config.model_copy(update={"image_size": 16})
    if limit != "1843199":
        load_images(small, cache=cache)  # takes 0.46 MB
    monkeypatch.setattr(decoding, "_decoded", None)
    with pytest.raises(DataError, match=r"DML_STUDY_CACHE_LIMIT allows \S+ MiB are taken; .*dataset.decode: each_time"):
        load_images(config.model_copy(update={"image_size": 33}), cache=cache)
    if limit != "1843199":
        assert len(load_images(small, cache=cache).paths) == COUNT, "what is there may be used"


def test_a_limit_that_is_no_size_is_refused(tree: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from trainables.errors import ConfigError

    monkeypatch.setenv("DML_STUDY_CACHE_LIMIT", "20 apples")
    with pytest.raises(ConfigError, match="DML_STUDY_CACHE_LIMIT is '20 apples'; write a size like"):
        load_images(planned(tree, cache), cache=cache)
