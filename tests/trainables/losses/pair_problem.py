"""What the tests of the pair losses share: a loss of a configuration, random rows, and their classes."""

import math

import torch
from torch import Tensor

from trainables.losses.pair_config import PairLossConfig
from trainables.parts import load_implementation

CLASSES = torch.tensor([0, 1, 2, 0, 1, 2, 0])
REFERENCE_CLASSES = torch.tensor([2, 2, 1, 1, 0, 3])


def built(config: PairLossConfig) -> torch.nn.Module:
    module: torch.nn.Module = load_implementation(config)(**config.arguments())
    return module


def random(*shape: int, seed: int = 0) -> Tensor:
    """Rows with norms around 1, so that `lipschitz` meets both cases."""
    source = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=source, dtype=torch.float64) / math.sqrt(shape[-1])
