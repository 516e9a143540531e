"""Losses that look at the length of embeddings (softmax, sphereface) get synthetic and past rows with their lengths."""

import pytest
import torch
from torch import Tensor

from trainables.batch import Batch
from trainables.losses.config import NormSoftmax
from trainables.losses.module import BaseLoss
from trainables.losses.softmax_config import Softmax, SphereFace
from trainables.step import Step
from trainables.synthesis.base import Space
from trainables.synthesis.config import ProxySynthesis as ProxySynthesisConfig
from trainables.synthesis.memory_config import MemVir as MemVirConfig
from trainables.synthesis.memvir import MemVir
from trainables.synthesis.proxy_synthesis import ProxySynthesis

LABELS = torch.tensor([0, 1, 2])
ROWS = torch.tensor([[3.0, 4.0], [0.0, 2.0], [-1.0, 0.0]], dtype=torch.float64)
"""Of length 5, 2 and 1."""


def batch_for(config: NormSoftmax | Softmax | SphereFace) -> Batch:
    loss = BaseLoss(config, num_classes=3, embedding_dim=2, seed=0).double()
    return Batch(ROWS, LABELS, loss.classes)


def lengths(rows: Tensor) -> list[float]:
    return torch.linalg.vector_norm(rows, dim=1).tolist()


@pytest.mark.parametrize("config", [Softmax(), SphereFace()])
def test_mixtures_keep_lengths_where_they_count(config: Softmax | SphereFace) -> None:
    synthesis, step = ProxySynthesis(ProxySynthesisConfig(), Space(3, 2)), Step(0, 0, 0)
    enlarged = synthesis.enlarge(batch_for(config), step)
    weight = synthesis.mixing_weight(step)
    expected = weight * ROWS + (1 - weight) * ROWS.roll(1, dims=0)
    torch.testing.assert_close(enlarged.embeddings, torch.cat([ROWS, expected]))
    assert enlarged.classes is not None and enlarged.classes.raw_embeddings
    if isinstance(config, SphereFace):  # its classes are directions all the same
        assert lengths(enlarged.classes.weights) == pytest.approx([1.0] * 6)


def test_mixtures_are_directions_for_all_other_losses() -> None:
    enlarged = ProxySynthesis(ProxySynthesisConfig(), Space(3, 2)).enlarge(batch_for(NormSoftmax()), Step(0, 0, 0))
    assert lengths(enlarged.embeddings) == pytest.approx([1.0] * 6)


@pytest.mark.parametrize(("config", "expected"), [(SphereFace(), [5.0, 2.0, 1.0]), (NormSoftmax(), [1.0, 1.0, 1.0])])
def test_past_rows_keep_lengths_where_they_count(config: NormSoftmax | SphereFace, expected: list[float]) -> None:
    memory = MemVir(MemVirConfig(steps=1, gap=0), Space(3, 2))
    memory.enlarge(batch_for(config), Step(0, 0, 0))
    enlarged = memory.enlarge(batch_for(config), Step(0, 0, 1))
    assert lengths(enlarged.embeddings[3:]) == pytest.approx(expected)
    assert enlarged.classes is not None and enlarged.classes.keeps_length == isinstance(config, SphereFace)
