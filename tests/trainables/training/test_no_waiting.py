"""A step never waits for its device: it runs on torch's `meta` device, whose values nobody can read."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from trainables.config import RunConfig
from trainables.fused.fit import FusedFit
from trainables.fused.inputs import StackedInputs
from trainables.fused.stack import Stack
from trainables.losses.registry import LOSSES
from trainables.step import Step
from trainables.synthesis.registry import SYNTHESES
from trainables.testing.runs import changed
from trainables.training.data import load_run_data
from trainables.training.fit import Fit

PROXY_LOSSES = sorted(name for name, loss in LOSSES.items() if loss.has_proxies)
# xbm remembers for pair losses, whose pairs are chosen on the CPU: their number is not known before
ON_PROXIES = sorted(set(SYNTHESES) - {"xbm"})
VARIANTS: dict[str, dict[str, Any]] = {
    "official": {"synthesis": {"name": "proxy_synthesis", "compat": "official"}},
    "permuted": {"synthesis": {"name": "proxy_synthesis", "pairing": "permutation", "ratio": 1.5}},
    "weights of pairs": {"synthesis": {"name": "proxy_synthesis", "mixing": "pair"}},
    "memory from the start": {"synthesis": {"name": "memvir", "warmup_epochs": 0, "steps": 1, "gap": 0}},
    "generated from the start": {"synthesis": {"name": "l2a", "warmup_epochs": 0, "generator_steps": 3}},
    "clipped": {"training": {"clip_norm": 1.0, "clip_value": 0.1}},
    "squashed": {"augmentation": {"crop_size": 12, "crop_scale": [0.5, 1]}},
}
META = torch.device("meta")


class Copies(TorchDispatchMode):
    """Counts copies from the CPU to the device, and those that are waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.total, self.waited = 0, 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        copies = function is torch.ops.aten._to_copy.default and args[0].device.type == "cpu"
        if copies and torch.device(kwargs.get("device") or "cpu") == META:
            self.total += 1
            self.waited += not kwargs.get("non_blocking", False)
        return function(*args, **kwargs)


class Adam(torch.optim.Adam):
    """torch has no fused optimiser for this device."""

    def __init__(self, parameters: Any, *, fused: bool = False, **options: Any) -> None:
        super().__init__(parameters, **options)


@pytest.fixture(autouse=True)
def parts_for_meta(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch has no autocast for this device either; regions that turn it off are the same on any."""
    monkeypatch.setattr(torch.optim, "Adam", Adam)
    real = torch.autocast

    def autocast(device_type: str, *arguments: Any, **options: Any) -> Any:
        return real("cpu" if device_type == "meta" else device_type, *arguments, **options)

    monkeypatch.setattr(torch, "autocast", autocast)


def steps_on_meta(run: RunConfig, cache: Path) -> Copies:
    data = replace(load_run_data(run, cache=cache), device=META)
    fit = Fit(run, data, epochs=4)
    rows, labels = torch.empty(64, 16, device=META), torch.empty(64, dtype=torch.int64, device=META)
    fit.synthesis.begin_epoch(0, lambda: (rows, labels), fit.loss)
    with Copies() as copies:
        for index, batch in enumerate(fit.batches()[:3]):
            fit._step(batch, Step(run.seed, 0, index))
    return copies


@pytest.mark.parametrize("loss", PROXY_LOSSES)
def test_no_proxy_loss_waits(tiny_run: RunConfig, private_cache: Path, loss: str) -> None:
    copies = steps_on_meta(changed(tiny_run, loss=loss, synthesis="none"), private_cache)
    assert copies.total >= 6, "images and labels of three steps"
    assert copies.waited == 0


@pytest.mark.parametrize("synthesis", ON_PROXIES)
def test_no_synthesis_waits(tiny_run: RunConfig, private_cache: Path, synthesis: str) -> None:
    assert steps_on_meta(changed(tiny_run, synthesis=synthesis), private_cache).waited == 0


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_option_waits(tiny_run: RunConfig, private_cache: Path, variant: str) -> None:
    assert steps_on_meta(changed(tiny_run, **VARIANTS[variant]), private_cache).waited == 0


FUSED: dict[str, dict[str, Any]] = {
    "plain": {"synthesis": "none"},
    "mixed": {"synthesis": "proxy_synthesis"},
    "crops": {"synthesis": "none", "augmentation": {"crop_scale": [0.5, 1], "flip": True}},
    **{name: VARIANTS[name] for name in ("official", "permuted", "weights of pairs", "clipped", "squashed")},
}


@pytest.mark.parametrize("variant", FUSED)
def test_no_step_of_runs_that_train_together_waits(tiny_run: RunConfig, private_cache: Path, variant: str) -> None:
    first = changed(tiny_run, **FUSED[variant], optimizer="rmsprop")  # the one that `parts_for_meta` leaves alone
    runs = [first, changed(first, seed=1)]
    fits = [FusedFit(run, replace(load_run_data(run, cache=private_cache), device=META), epochs=4) for run in runs]
    stack, inputs = Stack(fits[0], 2), StackedInputs(dict(enumerate(fits)), 2)
    stack.hold(dict(enumerate(fits)))
    rates = {name: value.to(META) for name, value in stack.rates(dict(enumerate(fits)), done=0).items()}
    numbers = stack.numbers(dict(enumerate(fits)))
    with Copies() as copies:
        for index, batches in enumerate(zip(*(fit.batches()[:3] for fit in fits), strict=True)):
            stack.step(inputs.step(batches, index, dtype=torch.float32), rates, numbers)
    assert copies.total >= 6
    assert copies.waited == 0


def test_values_on_this_device_cannot_be_read() -> None:
    """What the tests above rest upon."""
    there = torch.zeros(3, device=META)
    for look in (there.sum().item, there.cpu, there.nonzero, lambda: np.asarray(there)):
        with pytest.raises((RuntimeError, NotImplementedError, TypeError)):
            look()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here: torch tells of waits on a GPU alone")
@pytest.mark.parametrize("synthesis", ON_PROXIES)
def test_nothing_waits_on_a_gpu(tiny_run: RunConfig, private_cache: Path, synthesis: str) -> None:
    run = changed(tiny_run, synthesis=synthesis).model_copy(update={"device": "cuda"})
    fit = Fit(run, load_run_data(run, cache=private_cache), epochs=4)
    fit._step(fit.batches()[0], Step(run.seed, 0, 0))  # what is made once may wait
    torch.cuda.set_sync_debug_mode("error")
    try:
        for index, batch in enumerate(fit.batches()[1:3], start=1):
            fit._step(batch, Step(run.seed, 0, index))
    finally:
        torch.cuda.set_sync_debug_mode("default")
