"""The embedding network: a backbone, or nothing where its features are cached, and a linear head."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from trainables.config import RunConfig
from trainables.head_config import Head
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


class EmbeddingHead(nn.Linear):
    """Features [B, F] to raw embeddings [B, D]: a linear map, on features of mean 0 and variance 1 with a layer norm.

    The layer norm has no weights of its own: the linear map has them already.
    """

    def __init__(self, feature_dim: int, embedding_dim: int, config: Head) -> None:
        super().__init__(feature_dim, embedding_dim, bias=config.bias)
        self.layer_norm: Literal["none", "before"] = config.layer_norm
        if config.init != "default":
            _INITIALIZERS[config.init](self.weight)
            if self.bias is not None:
                nn.init.zeros_(self.bias)

    def forward(self, features: Tensor) -> Tensor:
        if self.layer_norm == "before":
            features = nn.functional.layer_norm(features, features.shape[-1:])
        return super().forward(features)


_INITIALIZERS: dict[str, Callable[[Tensor], Tensor]] = {
    "orthogonal": nn.init.orthogonal_,
    "kaiming": partial(nn.init.kaiming_normal_, mode="fan_out"),
    "xavier": nn.init.xavier_uniform_,
}


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
        head = EmbeddingHead(feature_dim, run.embedding_dim, run.head)
    return EmbeddingModel(backbone, head)
