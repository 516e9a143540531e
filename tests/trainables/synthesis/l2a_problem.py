"""A small problem for the tests of L2A: free embeddings, a base loss, and an optimiser on all that a run trains."""

from typing import Any

import torch
from torch import Tensor

from trainables.batch import Batch
from trainables.losses.module import BaseLoss
from trainables.losses.registry import LOSSES
from trainables.step import Step
from trainables.synthesis.base import Space
from trainables.synthesis.l2a import L2A
from trainables.synthesis.l2a_config import L2A as CONFIG

C, D, B = 4, 6, 8
SMALL = {
    "warmup_epochs": 0,
    "generator_steps": 2,
    "critic_steps": 2,
    "generator_batch_size": 8,
    "noise_dim": 3,
    "condition_dim": 3,
    "generator_width": 8,
    "critic_width": 8,
    "generator_lr": 0.01,
}
OFF = {"critic_weight": 0, "class_weight": 0, "divergence_weight": 0, "diversity_weight": 0}
PROXY_LOSSES = [
    name
    for name in ("norm_softmax", "proxy_anchor", "softmax", "sphereface", "soft_triple", "curricularface")
    if name in LOSSES
]


class Problem:
    """Free embeddings of B samples with a base loss and L2A, and an optimiser on everything that a run trains."""

    def __init__(self, loss: str = "norm_softmax", *, dtype: torch.dtype = torch.float32, **fields: Any) -> None:
        config = LOSSES[loss].model_validate({"name": loss})
        self.base = BaseLoss(config, num_classes=C, embedding_dim=D, seed=0).to(dtype)
        space = Space(C, D, config.centers, config.has_bias, seed=0)
        self.part = L2A(CONFIG.model_validate({**SMALL, **fields}), space)
        source = torch.Generator().manual_seed(1)
        self.embeddings = torch.nn.Parameter(3 * torch.randn(B, D, generator=source, dtype=dtype))
        self.labels = torch.arange(B) % C
        trained = [self.embeddings, *self.base.parameters(), *self.part.parameters()]
        self.optimizer = torch.optim.Adam(trained, lr=0.01)
        self.embedded = 0

    def embed(self) -> tuple[Tensor, Tensor]:
        self.embedded += 1
        return self.embeddings.detach().clone(), self.labels

    def begin(self, epoch: int = 0) -> "Problem":
        self.part.begin_epoch(epoch, self.embed, self.base)
        return self

    @property
    def batch(self) -> Batch:
        return Batch(self.embeddings, self.labels, self.base.classes)

    def loss(self, step: Step = Step(0, 0, 0)) -> Tensor:  # noqa: B008
        return self.part.loss(self.base, self.batch, step)

    def epoch(self, epoch: int) -> list[float]:
        self.begin(epoch)
        losses = []
        for index in range(3):
            loss = self.loss(Step(0, epoch, index))
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            losses.append(loss.item())
        return losses

    def state(self) -> dict[str, Any]:
        return {
            "embeddings": self.embeddings.detach(),
            "base": self.base.state_dict(),
            "part": self.part.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def load(self, state: dict[str, Any]) -> None:
        self.embeddings.data.copy_(state["embeddings"])
        self.base.load_state_dict(state["base"])
        self.part.load_state_dict(state["part"])
        self.optimizer.load_state_dict(state["optimizer"])


def flat(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [item for key in value for item in flat(value[key])]
    if isinstance(value, list | tuple):
        return [item for part in value for item in flat(part)]
    return [value.tolist()] if isinstance(value, Tensor) else [value]


def naive_norm_softmax(rows: Tensor, labels: Tensor, proxies: Tensor) -> Tensor:
    x, p = rows / rows.norm(dim=1, keepdim=True), proxies / proxies.norm(dim=1, keepdim=True)
    logits = 23 * x @ p.T
    return -torch.stack([row[y] - row.exp().sum().log() for row, y in zip(logits, labels, strict=True)]).mean()
