"""`export embeddings`: one part's embeddings with labels and names, and whether they give the run's own metrics."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainables.config import RunConfig
from trainables.datasets.catalog import load_images
from trainables.datasets.images import ImageSet
from trainables.datasets.splits import Split
from trainables.errors import DataError
from trainables.export.embeddings_file import EmbeddingsFile, read_embeddings, require_suffix, write_embeddings
from trainables.export.folder import new_file
from trainables.export.kept_run import KeptRun, kept_run
from trainables.ledger import Ledger
from trainables.training.build import set_numerics
from trainables.training.data import RunData, load_run_data, run_split
from trainables.training.embedding import embed
from trainables.training.inputs import inputs_of
from trainables.training.measure import measure

Part = Literal["train", "val", "test"]
PARTS: tuple[Part, ...] = ("train", "val", "test")
_FLIPS = 2
"""Queries whose neighbours may change places: another processor rounds embeddings differently."""


@dataclass(frozen=True)
class Check:
    """A metric of the file and of the run's row."""

    metric: str
    exported: float
    recorded: float


@dataclass(frozen=True)
class ExportedEmbeddings:
    """What was written.

    Attributes:
        source: where the embeddings come from, in words.
        checks: metrics of the file beside those of the row; empty for a part that the row has none of.
    """

    content: EmbeddingsFile
    source: str
    checks: tuple[Check, ...]


def export_embeddings(ledger: Ledger, run_id: str, *, part: Part, target: Path, cache: Path) -> ExportedEmbeddings:
    """Writes raw embeddings of a part's images: those that the run kept, or those of its kept weights.

    Args:
        target: a file .npz or .parquet; an older one is replaced.
        cache: of decoded images and features.

    Raises:
        ConfigError: another ending.
        DataError: the run kept neither, has no such part, or the embeddings do not give its metrics.
    """
    require_suffix(target)
    kept = kept_run(ledger, run_id)
    vectors, data, source = part_embeddings(kept, part, cache=cache)
    content = _content(kept, data, part, vectors)
    with new_file(target) as file:
        write_embeddings(content, file)
        read = read_embeddings(file)
        checks = _checks(kept, data, part, torch.from_numpy(read.embeddings), images=len(vectors))
    return ExportedEmbeddings(content, source, checks)


@dataclass(frozen=True)
class RunEmbeddings:
    """One part's embeddings, and the images that they belong to.

    Attributes:
        positions: [N] of the images in `images`.
    """

    content: EmbeddingsFile
    images: ImageSet
    positions: NDArray[np.int64]


def run_embeddings(ledger: Ledger, run_id: str, *, part: Part, cache: Path) -> RunEmbeddings:
    """Raw embeddings of a part's images, as `export_embeddings` would write them.

    Raises:
        DataError: the run kept neither embeddings nor weights, or has no such part.
    """
    kept = kept_run(ledger, run_id)
    vectors, data, _ = part_embeddings(kept, part, cache=cache)
    return RunEmbeddings(_content(kept, data, part, vectors), data.images, _positions(data.split, part))


def part_embeddings(kept: KeptRun, part: Part, *, cache: Path) -> tuple[Tensor, RunData, str]:
    """Raw embeddings [N, D] of a part's images, the run's data, and where they come from, in words.

    Raises:
        DataError: the run kept neither these embeddings nor its weights, or has no such part.
    """
    run = kept.config
    found = kept.test_embeddings() if part == "test" else None
    if found is not None:
        images = load_images(run.dataset, cache=cache)
        data = RunData(
            inputs_of(images.images, torch.device("cpu")),
            run_split(run, images),
            images,
            torch.device("cpu"),
            run.augmentation,
        )
        _require_count(found, data.split.test, kept)
        return found, data, "the embeddings that the run kept"
    kept.weights()  # before images are decoded for nothing
    here = on_this_machine(run)
    set_numerics(here)
    data = load_run_data(here, cache=cache, everything=run.protocol.refit and part == "train")
    positions = _positions(data.split, part)
    if not len(positions):
        raise DataError(f"run {kept.run_id} has no {part} images (protocol.selection: {run.protocol.selection})")
    model = kept.network(channels=data.images.channels, feature_dim=data.feature_dim).to(data.device)
    if here.training.memory_format == "channels_last":
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    where = "" if here == run else ", on the CPU in float32: there is no GPU here"
    return embed(here, model, data, positions).cpu(), data, f"the weights that the run kept{where}"


def on_this_machine(run: RunConfig) -> RunConfig:
    """The run on a device that this machine has."""
    if run.device == "cpu" or torch.cuda.is_available():
        return run
    training = run.training.model_copy(update={"precision": "float32"})
    return run.model_copy(update={"device": "cpu", "training": training})


def _require_count(found: Tensor, test: NDArray[np.int64], kept: KeptRun) -> None:
    if len(found) != len(test):
        raise DataError(
            f"run {kept.run_id} kept {len(found)} embeddings, and its dataset has {len(test)} test images: one of them "
            "is not what it was"
        )


def _positions(split: Split, part: Part) -> NDArray[np.int64]:
    return {"train": split.train, "val": split.val, "test": split.test}[part]


def _content(kept: KeptRun, data: RunData, part: Part, vectors: Tensor) -> EmbeddingsFile:
    images, positions = data.images, _positions(data.split, part)
    classes = np.unique(images.labels[positions])
    return EmbeddingsFile(
        embeddings=vectors.float().numpy(),
        labels=np.searchsorted(classes, images.labels[positions]).astype(np.int64),
        class_names=tuple(images.class_names[label] for label in classes),
        paths=tuple(images.paths[position] for position in positions),
        split=_kinds(images, positions, part),
        about={
            "run_id": kept.run_id,
            "study": kept.row["study"] or "",
            "dataset": kept.config.dataset.title,
            "dataset_revision": images.revision,
            "distance": kept.config.protocol.distance,
        },
    )


def _kinds(images: ImageSet, positions: NDArray[np.int64], part: Part) -> tuple[str, ...]:
    """query and gallery where a dataset has them."""
    return tuple(str(images.split[position]) for position in positions) if part == "test" else (part,) * len(positions)


def _checks(kept: KeptRun, data: RunData, part: Part, vectors: Tensor, *, images: int) -> tuple[Check, ...]:
    """
    Raises:
        DataError: a metric of the embeddings is not that of the row.
    """
    recorded = {key: value for key, value in kept.metrics.items() if key.startswith(f"{part}_")}
    if part == "train" or not recorded or (part == "val" and kept.config.protocol.refit):
        return ()
    found = measure(kept.config, data, vectors, part).metrics
    checks = tuple(Check(key, found[name], recorded[key]) for key, name in _names(recorded, found, part))
    require_same(checks, kept.run_id, images=images)
    return checks


def require_same(checks: Sequence[Check], run_id: str, *, images: int) -> None:
    """
    Raises:
        DataError: a metric of the embeddings of so many images is not that of the row.
    """
    allowed = _FLIPS / images
    for each in checks:
        if abs(each.exported - each.recorded) > allowed * max(1.0, abs(each.recorded)):
            raise DataError(
                f"{each.metric} of these embeddings is {each.exported:.6f}, and run {run_id} has "
                f"{each.recorded:.6f}: these are not its embeddings. Nothing is written"
            )


def _names(recorded: Mapping[str, float], found: Mapping[str, float], part: Part) -> list[tuple[str, str]]:
    """(column, name) of metrics that both have."""
    return [(f"{part}_{name}", name) for name in found if f"{part}_{name}" in recorded]
