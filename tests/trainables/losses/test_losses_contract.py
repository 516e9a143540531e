"""What every registered loss must do (a new entry of the registry is tested by being there), and what that finds."""

from collections.abc import Callable
from typing import Any, ClassVar, Literal

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.gradcheck import GradcheckError

from trainables.losses import functional as F
from trainables.losses.config import LossConfig, ProxyInit
from trainables.losses.margin_softmax import CurricularFace
from trainables.losses.registry import LOSSES
from trainables.losses.softmax_config import SoftTriple
from trainables.testing.losses import LossContract


class TestRegisteredLosses(LossContract):
    @pytest.fixture(params=sorted(LOSSES))
    def config(self, request: pytest.FixtureRequest) -> LossConfig:
        config = LOSSES[request.param](name=request.param)
        assert isinstance(config, LossConfig)
        return config


class TestOneCenterOfSoftTriple(LossContract):
    @pytest.fixture
    def config(self) -> LossConfig:
        return SoftTriple(centers_per_class=1)


class Broken(LossConfig):
    """A loss whose `implementation` a test replaces."""

    name: Literal["broken"] = "broken"
    proxy_init: ProxyInit = "normal"
    is_softmax: ClassVar[bool] = True


def constant(e: Tensor, y: Tensor, p: Tensor) -> Tensor:
    return e.sum() * 0 + p.sum() * 0 + 1


def half(e: Tensor, y: Tensor, p: Tensor) -> Tensor:
    return F.norm_softmax(e, y, p).half()


def random(e: Tensor, y: Tensor, p: Tensor) -> Tensor:
    return F.norm_softmax(e + torch.randn(e.shape, generator=SHARED).to(e.dtype), y, p)


def detached(e: Tensor, y: Tensor, p: Tensor) -> Tensor:
    return F.norm_softmax(e, y, p) + F.norm_softmax(e.detach(), y, p)


def first_row(e: Tensor, y: Tensor, p: Tensor) -> Tensor:
    return F.norm_softmax(e, y, p) + e[0].norm()


def over_labels(e: Tensor, y: Tensor, p: Tensor) -> Tensor:
    return F.norm_softmax(e, y, p) * (len(set(y.tolist())) - 1) / (len(set(y.tolist())) - 1)


def empty_too(e: Tensor, y: Tensor, p: Tensor) -> Tensor:
    return F.norm_softmax(e, y, p) if len(y) else e.sum()


def deaf(e: Tensor, y: Tensor, p: Tensor, *, excluded: Tensor | None = None) -> Tensor:
    return F.norm_softmax(e, y, p)


class Counting(nn.Module):
    """Keeps its state, and a tensor, where nobody finds them."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = torch.zeros(())

    def forward(self, e: Tensor, y: Tensor, p: Tensor) -> Tensor:
        self.calls = self.calls + 1
        return F.norm_softmax(e, y, p) * self.calls


class Restless(CurricularFace):
    """Moves its state in evaluation too."""

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        self.training = True
        return super().forward(*args, **kwargs)


class Everyone(CurricularFace):
    """Averages over synthetic rows too."""

    def forward(self, *args: Any, real: int, **kwargs: Any) -> Tensor:
        return super().forward(*args, **kwargs)


SHARED = torch.Generator().manual_seed(0)
CONTRACT = LossContract()
FAULTS: list[tuple[Any, Callable[..., None], tuple[Any, ...]]] = [
    (constant, CONTRACT.test_scalar_that_is_finite_and_has_gradients, ()),
    (half, CONTRACT.test_precision_is_at_least_single, (torch.float32,)),
    (half, CONTRACT.test_finite_under_bfloat16_autocast, ()),
    (random, CONTRACT.test_deterministic, ()),
    (detached, CONTRACT.test_gradcheck, ()),
    (first_row, CONTRACT.test_order_of_the_batch_does_not_matter, ()),
    (over_labels, CONTRACT.test_degenerate_batches_are_finite, ((1, 1, 1),)),
    (empty_too, CONTRACT.test_empty_batch_is_refused, ()),
    (deaf, CONTRACT.test_excluded_classes_do_not_exist, ()),
    (Counting, CONTRACT.test_state_round_trip, ()),
    (Counting, CONTRACT.test_device_move, ()),
    (Restless, CONTRACT.test_state_follows_real_rows_of_the_training_alone, ()),
    (Everyone, CONTRACT.test_state_follows_real_rows_of_the_training_alone, ()),
]


@pytest.mark.parametrize(
    ("fault", "check", "arguments"), FAULTS, ids=[f"{fault.__name__}-{check.__name__}" for fault, check, _ in FAULTS]
)
def test_the_contract_finds(
    fault: Any, check: Callable[..., None], arguments: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainables.losses.module.load_implementation", lambda config: fault)
    monkeypatch.setattr(Broken, "stateful", isinstance(fault, type) and issubclass(fault, CurricularFace))
    with pytest.raises((AssertionError, pytest.fail.Exception, GradcheckError)):
        check(Broken(), *arguments)
