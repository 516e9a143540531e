"""Features of a frozen backbone: computed once for a dataset, then shared by all trials as a memory-mapped file."""

import hashlib
import json
import os
import zlib
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainables.atomic_cache import build_once
from trainables.backbones.build import Backbone, build_backbone
from trainables.backbones.weights import resolve
from trainables.config import RunConfig
from trainables.datasets.crops import evaluation_view
from trainables.datasets.images import ImageSet
from trainables.datasets.source import Progress
from trainables.parts import identity

_FEATURES, _ABOUT = "features.npy", "about.json"
_VERSION = 1
"""Raised when this module computes other bits."""
_CHUNK = {"cpu": 16, "cuda": 256}
"""Images per forward pass; part of the result, since other batch sizes round differently."""


def cached_features(
    run: RunConfig,
    images: ImageSet,
    *,
    cache: Path,
    progress: Progress | None = None,
    workers: int | None = None,
) -> np.ndarray:
    """Pooled features of all images through the run's backbone in evaluation mode.

    They are computed by the first process that asks and kept under `cache`; all others, also at the same time, share
    that file. What they depend on makes the key: images, architecture, pooling, weights (the seed, for random ones),
    precision, the device and its instruction set, torch's version.

    On a CPU the bits do not depend on the number of workers: the images are cut into chunks of fixed size, and each
    chunk is computed by one thread alone.

    Args:
        images: N images.
        cache: the cache folder.
        progress: told after every chunk of images.
        workers: CPU threads, each with chunks of its own; all cores that this process may use by default.

    Returns:
        float32 [N, F], memory-mapped, read-only, in the order of the images.

    Raises:
        DataError: the weights file is missing, does not fit, or changed since it was planned with.
    """
    backbone = run.backbone
    if backbone.weights is not None and not backbone.weights_revision:
        run = run.model_copy(update={"backbone": resolve(backbone, search=(), cache=cache)})
    content = _content(run, images)
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def report(done: int) -> None:
        if progress is not None:
            progress(done, len(images.images), f"features of {run.dataset.title} by {run.backbone.name}")

    def build(folder: Path) -> None:
        with closing(_compute(run, images, workers=workers or _cores())) as chunks:
            _write(folder, chunks, content=content, report=report)

    folder = build_once(cache / "features" / digest[:24], build, is_valid=_is_valid)
    features: np.ndarray = np.load(folder / _FEATURES, mmap_mode="r")
    return features


def _content(run: RunConfig, images: ImageSet) -> dict[str, Any]:
    """Everything that the features' bits depend on."""
    content = identity(run.backbone.simplified().untrained())
    backbone = {key: value for key, value in content.items() if key not in ("trainable", "batch_norm")}
    return {
        "version": _VERSION,
        "dataset": identity(run.dataset),
        "images": [images.revision, images.key],
        "shape": list(images.images.shape),
        "backbone": backbone,
        "seed": run.seed if run.backbone.weights is None else None,
        "device": _device(run.device),
        "precision": run.precision,
        "torch": torch.__version__,
        **_view(run),
    }


def _view(run: RunConfig) -> dict[str, Any]:
    """How evaluation crops images; absent where it does not, as in entries of earlier versions."""
    if run.augmentation.views_whole_images:
        return {}
    return {"view": identity(run.augmentation.evaluated())}


def _device(kind: str) -> str:
    model = torch.backends.cpu.get_cpu_capability() if kind == "cpu" else torch.cuda.get_device_name()
    return f"{kind} {model}"


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _compute(run: RunConfig, images: ImageSet, *, workers: int) -> Generator[np.ndarray, None, None]:
    """Features of one chunk after the other, float32 [<= chunk, F]."""
    network = build_backbone(run.backbone, channels=images.channels, seed=run.seed)
    # The faster layout for most networks. It rounds differently, so it is part of _VERSION and no setting.
    network = network.eval().to(run.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    size = _CHUNK[run.device]

    def forward(start: int) -> np.ndarray:
        chosen = slice(start, start + size)
        batch = torch.from_numpy(np.array(images.images[chosen])).to(run.device).float().div_(255)
        shapes = None if images.shapes is None else torch.from_numpy(np.array(images.shapes[chosen]))
        return _forward(network, evaluation_view(batch, run.augmentation, shapes), run)

    # Threads, not processes: torch releases the interpreter's lock, so they scale as well and load nothing twice.
    with _one_thread_per_chunk(workers if run.device == "cpu" else 1) as pool:
        yield from pool.map(forward, range(0, len(images.images), size))


@contextmanager
def _one_thread_per_chunk(workers: int) -> Iterator[ThreadPoolExecutor]:
    threads = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield pool
    finally:
        torch.set_num_threads(threads)


@torch.inference_mode()
def _forward(network: Backbone, batch: Tensor, run: RunConfig) -> np.ndarray:
    batch = batch.contiguous(memory_format=torch.channels_last)
    with torch.autocast(run.device, dtype=getattr(torch, run.precision), enabled=run.precision != "float32"):
        features: np.ndarray = network(batch).float().cpu().numpy()
    return features


def _write(
    folder: Path, chunks: Iterator[np.ndarray], *, content: dict[str, Any], report: Callable[[int], None]
) -> None:
    total, done = content["shape"][0], 0
    # A stream of writes: through a memory map, a full disk would crash the process instead of raising.
    with (folder / _FEATURES).open("wb") as file:
        for chunk in chunks:
            if done == 0:
                header = {"descr": "<f4", "fortran_order": False, "shape": (total, chunk.shape[1])}
                np.lib.format.write_array_header_1_0(file, header)
            file.write(np.ascontiguousarray(chunk, dtype="<f4").tobytes())
            done += len(chunk)
            report(done)
    about = {"content": content, "crc32": _checksum(folder / _FEATURES)}
    (folder / _ABOUT).write_text(json.dumps(about, indent=1))


def _is_valid(folder: Path) -> bool:
    features = folder / _FEATURES
    if not features.is_file():
        return False
    status = features.stat()
    return _recorded_checksum(folder) == _checksum_once(features, status.st_size, status.st_mtime_ns)


def _recorded_checksum(folder: Path) -> int | None:
    try:
        content = json.loads((folder / _ABOUT).read_text())
    except (FileNotFoundError, ValueError):  # absent or damaged: the features are computed again
        return None
    return content.get("crc32") if isinstance(content, dict) else None


@lru_cache
def _checksum_once(path: Path, size: int, mtime_ns: int) -> int:
    """The checksum, read through once per process: an actor opens the same features for many runs."""
    return _checksum(path)


def _checksum(path: Path) -> int:
    checksum = 0
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            checksum = zlib.crc32(block, checksum)
    return checksum
