"""MemVir with a base loss, for the tests of its parts."""

from typing import Any

from trainables.losses.config import LossConfig
from trainables.losses.module import BaseLoss
from trainables.parts import load_implementation
from trainables.synthesis.base import Space
from trainables.synthesis.memory_config import MemVir as Config
from trainables.synthesis.memvir import MemVir


def built(loss: LossConfig, *, classes: int, dim: int, **fields: Any) -> tuple[MemVir, BaseLoss]:
    base = BaseLoss(loss, num_classes=classes, embedding_dim=dim, seed=0).double()
    space = Space(classes, dim, centers_per_class=loss.centers, has_bias=loss.has_bias)
    config = Config.model_validate(fields)
    synthesis = load_implementation(config)(config, space)
    assert isinstance(synthesis, MemVir)
    return synthesis, base
