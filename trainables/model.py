"""The embedding network: a backbone, or nothing where its features are cached, and a linear head."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from trainables.config import RunConfig
from trainables.randomness import isolated_rng

if TYPE_CHECKING:
    from trainables.backbones.build import Backbone


_AUTOCAST = {"bfloat16": torch.bfloat16, "float16": torch.float16}


def autocast(run: RunConfig) -> torch.autocast:
    """The region in which a run's network computes, in its precision."""
    dtype = _AUTOCAST.get(run.precision)
    return torch.autocast(run.device, dtype=dtype or torch.bfloat16, enabled=dtype is not None)


class EmbeddingModel(nn.Module):
    """Images [B, C, H, W] in 0..1, or features [B, F], to raw embeddings [B, D].

    The head computes in float32 under autocast too: embeddings of 8 bits would blur what is near to what.
    """

    backbone: "Backbone | None"
    head: nn.Linear

    def __init__(self, backbone: "Backbone | None", head: nn.Linear) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, inputs: Tensor) -> Tensor:
        features = inputs if self.backbone is None else self.backbone(inputs)
        with torch.autocast(features.device.type, enabled=False):
            embeddings: Tensor = self.head(features)
        return embeddings


def build_model(run: RunConfig, *, channels: int, feature_dim: int | None = None) -> EmbeddingModel:
    """The network of a run with its initial weights, a function of the seed alone.

    Args:
        channels: channels of the images.
        feature_dim: width F of cached features; the backbone is left out then.
    """
    backbone = None
    if feature_dim is None:
        from trainables.backbones.build import build_backbone

        backbone = build_backbone(run.backbone, channels=channels, seed=run.seed)
        feature_dim = backbone.feature_dim
    with isolated_rng(run.seed, "head"):
        head = nn.Linear(feature_dim, run.embedding_dim)
    return EmbeddingModel(backbone, head)
