"""The untrained embedding: the backbone's pooled features as they come, measured on the test classes."""

from functools import cached_property

import torch
from torch import Tensor, nn

from trainables.model import autocast
from trainables.strategies.evaluation import Evaluation

_CHUNK = 256


class Untrained(Evaluation):
    """The row that shows what training adds."""

    @torch.inference_mode()
    def test_embeddings(self) -> Tensor:
        positions, network = self.data.split.test, self._network
        chunks = [positions[start : start + _CHUNK] for start in range(0, len(positions), _CHUNK)]
        with autocast(self.run):
            return torch.cat([network(self.data.evaluation_batch(chunk)) for chunk in chunks])

    def network(self) -> nn.Module:
        return self._network

    @cached_property
    def _network(self) -> nn.Module:
        if self.data.cached_features:
            return nn.Identity()
        from trainables.backbones.build import build_backbone

        channels = self.data.images.images.shape[1]
        return build_backbone(self.run.backbone, channels=channels, seed=self.run.seed).to(self.data.device).eval()
