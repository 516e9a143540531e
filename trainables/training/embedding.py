"""Embeddings of a run's images by its network, as evaluation computes them."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from trainables.config import RunConfig
from trainables.model import EmbeddingModel, autocast
from trainables.training.data import RunData

_CHUNK = 256


@torch.no_grad()
def embed(run: RunConfig, model: EmbeddingModel, data: RunData, positions: np.ndarray) -> Tensor:
    """Raw float32 embeddings [len(positions), D] of images, in evaluation mode, on the data's device."""
    model.eval()
    return torch.cat(list(_chunks(run, model, data, positions)))


def formatted(run: RunConfig, images: Tensor) -> Tensor:
    """Images [B, C, H, W] in the run's memory format."""
    if run.training.memory_format == "channels_last":
        return images.contiguous(memory_format=torch.channels_last)
    return images


def _chunks(run: RunConfig, model: EmbeddingModel, data: RunData, positions: np.ndarray) -> Iterator[Tensor]:
    chunks = [positions[start : start + _CHUNK] for start in range(0, len(positions), _CHUNK)]
    data.inputs.expect(chunks)
    for chunk in chunks:
        inputs = data.evaluation_batch(chunk)
        with autocast(run):
            yield model(inputs if data.cached_features else formatted(run, inputs))
