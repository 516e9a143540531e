"""Whether what was exported embeds as the run's network does: measured on real images, never assumed."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from trainables.datasets.images import ImageSet
from trainables.errors import DataError
from trainables.export.kept_run import KeptRun
from trainables.export.loading import load_exported
from trainables.export.manifest import ONNX, WEIGHTS, Parity, read_manifest, verified
from trainables.export.onnx_file import run_onnx
from trainables.export.preprocessing import Preprocessing, Transform
from trainables.model import EmbeddingModel

IMAGES = 32
"""Test images that are compared, at equal distances over all of them."""
TOLERANCES = {WEIGHTS: 1e-6, ONNX: 1e-4}
"""Of the largest difference, in multiples of the largest value."""
_AS_TRAINED = {"float32": 1e-3}
_ROUNDED = 0.1
"""The run computed in 8 or 11 bits; what is exported computes in 24."""


@dataclass(frozen=True)
class Sample:
    """Test images as evaluation sees them, and the raw embeddings of the run's network in float32.

    Attributes:
        rows: their positions among the test images.
    """

    rows: np.ndarray
    images: Tensor
    embeddings: Tensor


@torch.no_grad()
def sample_of(images: ImageSet, test: np.ndarray, model: EmbeddingModel, preprocessing: Preprocessing) -> Sample:
    """Some images of a dataset through a network.

    Args:
        test: positions of the test images.
        model: in evaluation mode.
    """
    rows = np.unique(np.linspace(0, len(test) - 1, num=IMAGES).astype(int))
    chosen = test[rows]
    shapes = None if images.shapes is None else torch.from_numpy(np.array(images.shapes[chosen]))
    batch = Transform(preprocessing).of_pixels(np.array(images.images[chosen]), shapes)
    return Sample(rows, batch, model(batch))


def check_kept(kept: KeptRun, sample: Sample) -> dict[str, Parity]:
    """The network against the test embeddings that the run kept, if it did.

    Raises:
        DataError: they differ by more than rounding.
    """
    embeddings = kept.test_embeddings()
    if embeddings is None:
        return {}
    tolerance = _AS_TRAINED.get(kept.config.precision, _ROUNDED)
    name = "embeddings that the run kept"
    return {name: _compared(name, embeddings[torch.from_numpy(sample.rows)].float(), sample, tolerance=tolerance)}


@torch.no_grad()
def check_files(folder: Path, sample: Sample) -> dict[str, Parity]:
    """The files of an exported model, read again, against the network that they were made of.

    Raises:
        DataError: they differ by more than the tolerance.
    """
    manifest = read_manifest(folder)
    found: dict[str, Parity] = {}
    if WEIGHTS in manifest.files:
        embeddings = load_exported(folder).model(sample.images)
        found[WEIGHTS] = _compared(WEIGHTS, embeddings, sample, tolerance=TOLERANCES[WEIGHTS])
    if ONNX in manifest.files:
        content, (first, rest) = verified(folder, ONNX, manifest), (sample.images[:1], sample.images[1:])
        batches = [run_onnx(content, batch) for batch in (first, rest) if len(batch)]  # of two sizes: both are free
        found[ONNX] = _compared(ONNX, torch.cat(batches), sample, tolerance=TOLERANCES[ONNX])
    return found


def _compared(name: str, embeddings: Tensor, sample: Sample, *, tolerance: float) -> Parity:
    expected = sample.embeddings
    if embeddings.shape != expected.shape or not embeddings.isfinite().all():
        shapes = f"{list(embeddings.shape)} instead of {list(expected.shape)}"
        raise DataError(f"parity check: {name} gives no finite embeddings of the right shape ({shapes})")
    largest = float((embeddings - expected).abs().max())
    relative = largest / max(float(expected.abs().max()), 1e-30)
    if relative > tolerance:
        raise DataError(
            f"parity check: embeddings of {len(expected)} test images by {name} differ from those of the run's network "
            f"by {largest:.3g}, {relative:.3g} of the largest value; {tolerance:g} is allowed. Nothing is written"
        )
    return Parity(images=len(expected), largest_difference=largest, relative=relative, tolerance=tolerance)
