"""`export model`: network, preprocessing and where they come from, in one folder that was proven to work."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from trainables.config import RunConfig
from trainables.datasets.catalog import load_images
from trainables.datasets.images import ImageSet
from trainables.export.card import card
from trainables.export.extras import PACKAGES, require_packages
from trainables.export.folder import new_folder, require_new
from trainables.export.kept_run import KeptRun, kept_run
from trainables.export.manifest import CARD, MANIFEST, ONNX, PREPROCESSING, WEIGHTS, Manifest, Network, Port, checksum
from trainables.export.onnx_file import INPUT, OUTPUT, to_onnx
from trainables.export.parity import Sample, check_files, check_kept, sample_of
from trainables.export.preprocessing import Preprocessing, preprocessing_of
from trainables.ledger import Ledger
from trainables.model import EmbeddingModel
from trainables.training.data import run_split

Format = Literal["safetensors", "onnx"]
FORMATS: tuple[Format, ...] = ("safetensors", "onnx")


def export_model(
    ledger: Ledger,
    run_id: str,
    *,
    target: Path,
    cache: Path,
    formats: Sequence[Format] = FORMATS,
    protocol: str = "",
) -> Manifest:
    """Writes the network of a run that kept its weights, the backbone of cached features included.

    The files are read again and embed real test images before the folder gets its name.

    Args:
        ledger: that has the run.
        target: a folder that does not exist yet, or is empty.
        cache: of decoded images.
        formats: of the weights.
        protocol: how the run's numbers were made, for the card.

    Raises:
        ConfigError: a package is missing, or something stands at `target`.
        DataError: the run is not complete or kept no weights, the images are absent, or the parity check fails.
    """
    require_packages(*(package for each in formats for package in PACKAGES[each]))
    require_new(target)
    kept = kept_run(ledger, run_id)
    kept.weights()  # before images are decoded for nothing
    images = load_images(kept.config.dataset, cache=cache)
    model = kept.network(channels=images.channels).eval().requires_grad_(False)
    preprocessing = preprocessing_of(kept.config, images, model)
    sample = sample_of(images, run_split(kept.config, images).test, model, preprocessing)
    parity = check_kept(kept, sample)
    with new_folder(target) as folder:
        files = _write(folder, model, preprocessing, sample, formats=formats, run_id=run_id)
        manifest = _manifest(kept, images, preprocessing, protocol=protocol)
        _write_manifest(folder, manifest.model_copy(update={"files": _checksums(folder, files), "parity": parity}))
        parity |= check_files(folder, sample)
        text = card(manifest.model_copy(update={"parity": parity}), preprocessing, formats=formats)
        (folder / CARD).write_text(text, encoding="utf-8")
        manifest = manifest.model_copy(update={"files": _checksums(folder, [*files, CARD]), "parity": parity})
        _write_manifest(folder, manifest)
    return manifest


def _write(
    folder: Path,
    model: EmbeddingModel,
    preprocessing: Preprocessing,
    sample: Sample,
    *,
    formats: Sequence[Format],
    run_id: str,
) -> list[str]:
    """The files but for `model.json` and the card."""
    described = preprocessing.model_dump_json(indent=1)
    content: dict[str, bytes] = {PREPROCESSING: described.encode()}
    if "safetensors" in formats:
        from safetensors.torch import save

        weights = {key: value.contiguous().clone() for key, value in model.state_dict().items()}
        content[WEIGHTS] = save(weights, metadata={"format": "pt", "run_id": run_id})
    if "onnx" in formats:
        about = {"dml_study.run_id": run_id, "dml_study.preprocessing": preprocessing.model_dump_json()}
        content[ONNX] = to_onnx(model, sample.images[:2], metadata=about)
    for name, data in content.items():
        (folder / name).write_bytes(data)
    return list(content)


def _checksums(folder: Path, names: Sequence[str]) -> dict[str, str]:
    return {name: checksum((folder / name).read_bytes()) for name in names}


def _write_manifest(folder: Path, manifest: Manifest) -> None:
    (folder / MANIFEST).write_text(manifest.model_dump_json(indent=1) + "\n", encoding="utf-8")


def _manifest(kept: KeptRun, images: ImageSet, preprocessing: Preprocessing, *, protocol: str) -> Manifest:
    run, side = kept.config, preprocessing.input_size
    split = run_split(run, images, everything=run.protocol.refit)
    network = Network(
        backbone=_portable(run), head=run.head, embedding_dim=run.embedding_dim, channels=preprocessing.channels
    )
    colors = "grey" if preprocessing.channels == 1 else "RGB"
    return Manifest(
        run_id=kept.run_id,
        study=kept.row["study"] or "",
        network=network,
        input=Port(
            name=INPUT,
            shape=("batch", preprocessing.channels, side, side),
            about=f"{colors} images in 0..1 after preprocessing.json; the network normalises them itself",
        ),
        output=Port(name=OUTPUT, shape=("batch", run.embedding_dim), about="raw embeddings: not normalised"),
        distance=run.protocol.distance,
        training_classes=tuple(images.class_names[label] for label in split.train_classes),
        metrics=kept.metrics,
        protocol=protocol,
        provenance=_provenance(kept.row, run),
        parity={},
        files={},
    )


def _portable(run: RunConfig) -> Any:
    """The backbone without the place of its first weights: the file has all weights."""
    return run.backbone.model_copy(update={"weights": None, "weights_revision": ""})


def _provenance(row: Mapping[str, Any], run: RunConfig) -> dict[str, Any]:
    """What the numbers depend on, without places on the machine that trained."""
    facts = ("dataset", "dataset_revision", "stage", "seed", "fold", "selected_epoch", "device_name", "git_commit")
    found = {key: row[key] for key in facts if row[key] is not None}
    if row["ended_at"] is not None:
        found["trained_at"] = row["ended_at"].isoformat(timespec="seconds")
    return {**found, "versions": json.loads(row["versions"] or "{}"), "settings": run.identity()}
