"""Metrics of a trained network on deformed test images."""

from typing import Literal

import torch
from torch import Tensor, nn

from trainables.backbones.build import build_backbone
from trainables.config import RunConfig
from trainables.datasets.crops import evaluation_view
from trainables.evaluation.deformations import deform
from trainables.model import autocast
from trainables.training.config import Deformation
from trainables.training.data import RunData
from trainables.training.measure import measure

_CHUNK = 256
_REPORTED = ("recall_at_1", "map_at_r")


Layout = Literal["contiguous", "channels_last"]


def deformed_metrics(
    run: RunConfig, data: RunData, model: nn.Module, clean: dict[str, float], *, layout: Layout
) -> dict[str, float]:
    """Figures for the run's row under each deformation of its protocol; all test images are deformed alike.

    The network computes as it did for `clean`, so that differences are those of the images: strength 0 gives the same
    embeddings (of cached features: up to the rounding of another batch size).

    Args:
        model: in evaluation mode, from what `data.evaluation_batch` gives to embeddings; where that is cached features,
            the frozen backbone is put before it, and works on the deformed images.
        clean: metrics of the same network on the images as they are.
        layout: in memory, of the images that `model` got; cached features are made from channels_last whatever it is.

    Returns:
        `test_<metric>_<deformation>_<strength>` for Recall@1 and MAP@R (for all metrics of a dataset that has neither),
        and `test_<metric>_mean_drop`, by how much the mean over the deformations is lower than `clean`. Empty without
        deformations.
    """
    if not run.protocol.deformations:
        return {}
    if data.cached_features:
        model, layout = nn.Sequential(_frozen_backbone(run, data), model), "channels_last"
    found = {}
    for deformation in run.protocol.deformations:
        embeddings = deformed_embeddings(run, data, model, deformation, layout=layout)
        found[deformation.title] = measure(run, data, embeddings, "test").metrics
    return _figures(found, clean)


def _figures(found: dict[str, dict[str, float]], clean: dict[str, float]) -> dict[str, float]:
    figures: dict[str, float] = {}
    for metric in [name for name in _REPORTED if name in clean] or clean:
        values = {title: metrics[metric] for title, metrics in found.items()}
        figures |= {f"test_{metric}_{title}": value for title, value in values.items()}
        figures[f"test_{metric}_mean_drop"] = clean[metric] - sum(values.values()) / len(values)
    return figures


def _frozen_backbone(run: RunConfig, data: RunData) -> nn.Module:
    """As the cached features were computed with."""
    backbone = build_backbone(run.backbone, channels=data.images.channels, seed=run.seed)
    return backbone.to(data.device).eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


@torch.inference_mode()
def deformed_embeddings(
    run: RunConfig, data: RunData, network: nn.Module, deformation: Deformation, *, layout: Layout
) -> Tensor:
    """Embeddings [N, D] of all test images, deformed, through a network that takes images."""
    memory_format = torch.channels_last if layout == "channels_last" else torch.contiguous_format
    chunks = []
    for start in range(0, len(data.split.test), _CHUNK):
        positions = data.split.test[start : start + _CHUNK]
        images = torch.from_numpy(data.images.images[positions]).to(data.device).float().div_(255)
        images = evaluation_view(images, data.augmentation, data.shapes(positions))
        deformed = deform(images, deformation, positions.tolist()).contiguous(memory_format=memory_format)
        with autocast(run):
            chunks.append(network(deformed))
    return torch.cat(chunks)
