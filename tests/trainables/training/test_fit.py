"""One fit: its phases, its arithmetic, and that it goes on to the same bits from wherever it was stopped."""

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
import torch
from torch import Tensor, nn

from trainables.backbones.base import Network
from trainables.backbones.config import BACKBONES, Conv4
from trainables.backbones.conv4 import build as build_conv4
from trainables.batch import Batch
from trainables.config import RunConfig
from trainables.step import Step
from trainables.synthesis.base import Space, Synthesis
from trainables.synthesis.config import SynthesisConfig
from trainables.synthesis.registry import SYNTHESES
from trainables.testing.runs import changed
from trainables.training import checkpoint
from trainables.training.config import SGD, Adam, AdamW, OptimizerConfig
from trainables.training.data import load_run_data
from trainables.training.fit import Fit
from trainables.training.optimizer import build_optimizer


class Dropping(Conv4):
    """conv4 with dropout, a library's layer that draws from torch's global generator."""

    name: Literal["dropping"] = "dropping"  # type: ignore[assignment]
    implementation: ClassVar[str] = f"{__name__}:build_dropping"


def build_dropping(config: Conv4, *, channels: int) -> Network:
    network = build_conv4(config, channels=channels)
    body = nn.Sequential(network.body, nn.Dropout(0.5))
    return Network(body, network.feature_dim, network.channels, network.mean, network.std)


class Remembering(SynthesisConfig):
    """A synthesis with a state: every step sees the embeddings of the step before."""

    name: Literal["remembering"] = "remembering"
    implementation: ClassVar[str] = f"{__name__}:Memory"


class Memory(Synthesis):
    def __init__(self, config: Remembering, space: Space) -> None:
        super().__init__(config, space)
        self.last: Tensor | None = None

    def enlarge(self, batch: Batch, step: Step) -> Batch:
        before, self.last = self.last, batch.embeddings.detach().mean(dim=0)
        return batch if before is None else replace(batch, embeddings=batch.embeddings + before)

    def state_dict(self) -> dict[str, Any]:
        return {"last": self.last}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.last = state["last"]


class Drawing(SynthesisConfig):
    """A synthesis that draws from torch's global generator, as layers of a library do when they are built."""

    name: Literal["drawing"] = "drawing"
    implementation: ClassVar[str] = f"{__name__}:Noise"


class Noise(Synthesis):
    def __init__(self, config: Drawing, space: Space) -> None:
        super().__init__(config, space)
        self.direction = torch.randn(space.embedding_dim)

    def begin_epoch(self, *arguments: Any) -> None:
        self.length = torch.randn(())

    def enlarge(self, batch: Batch, step: Step) -> Batch:
        return replace(batch, embeddings=batch.embeddings + self.length * self.direction)


@pytest.fixture(autouse=True)
def own_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BACKBONES, "dropping", Dropping)
    monkeypatch.setitem(SYNTHESES, "remembering", Remembering)
    monkeypatch.setitem(SYNTHESES, "drawing", Drawing)


def fit_of(run: RunConfig, cache: Path, *, epochs: int = 4) -> Fit:
    return Fit(run, load_run_data(run, cache=cache), epochs=epochs)


def values(fit: Fit) -> dict[str, Tensor]:
    weights = fit.weights()
    return {**weights["model"], **weights["loss"]}


def changes(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    return {key for key in before if not torch.equal(before[key], after[key])}


VARIANTS: dict[str, dict[str, Any]] = {
    "adam": {},
    "adamw": {"optimizer": {"name": "adamw", "lr": 0.01, "weight_decay": 0.1}},
    "sgd": {"optimizer": {"name": "sgd", "lr": 0.1, "nesterov": True, "weight_decay": 0.01}},
    "float16": {"training": {"precision": "float16"}},
    "bfloat16": {"training": {"precision": "bfloat16", "clip_value": 0.1}},
    "contiguous": {"training": {"memory_format": "contiguous"}},
    "frozen": {"backbone": {"trainable": False}},
    "batch norm frozen": {"backbone": {"batch_norm": "frozen_statistics"}},
    "dropout": {"backbone": {"name": "dropping"}},
    "rates warmed up": {"training": {"lr_warmup_epochs": 3}, "schedule": {"name": "step", "every": 2}},
    "epochs across passes": {"training": {"steps_per_epoch": 3, "lr_warmup_epochs": 2}},
    "epochs within passes": {"training": {"steps_per_epoch": 1}, "synthesis": "remembering"},
    "rates by step": {"schedule": {"name": "inverse_time", "decay": 0.1}},
    "synthesis with a state": {"synthesis": "remembering"},
    "shuffled": {"sampler": "shuffled", "loss": "proxy_anchor"},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_fit_goes_on_to_the_same_bits_from_its_checkpoint(
    tiny_run: RunConfig, private_cache: Path, variant: str
) -> None:
    run = changed(tiny_run, **VARIANTS[variant])
    whole = fit_of(run, private_cache)
    expected = [whole.train_epoch() for _ in range(3)]
    stopped = fit_of(run, private_cache)
    stopped.train_epoch()
    stopped.embed(stopped.data.split.val)  # evaluating in between must not matter
    state, _ = checkpoint.from_bytes(checkpoint.to_bytes(stopped.state_dict(), []))
    torch.manual_seed(99)
    resumed = fit_of(run, private_cache)
    resumed.load_state_dict(state)
    losses = [resumed.train_epoch().train_loss for _ in range(2)]
    assert losses == [stats.train_loss for stats in expected[1:]]
    assert changes(values(resumed), values(whole)) == set()


@pytest.mark.parametrize("part", [{"backbone": "dropping"}, {"synthesis": "drawing"}])
def test_global_generators_reach_no_number(tiny_run: RunConfig, private_cache: Path, part: dict[str, str]) -> None:
    run = changed(tiny_run, **part)
    results = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        fit = fit_of(run, private_cache)
        fit.train_epoch()
        results.append(values(fit))
    assert changes(*results) == set()


def test_a_schedule_by_step_counts_the_steps_of_all_epochs(tiny_run: RunConfig, private_cache: Path) -> None:
    run = changed(tiny_run, schedule={"name": "inverse_time", "decay": 0.1}, optimizer={"name": "sgd", "lr": 0.02})
    fit = fit_of(run, private_cache)
    steps = sum(fit.train_epoch().steps for _ in range(2))
    assert {group["name"]: group["lr"] for group in fit.optimizer.param_groups}["head"] == pytest.approx(
        0.02 / (1 + 0.1 * (steps - 1))
    )


def test_an_epoch_of_a_number_of_steps(tiny_run: RunConfig, private_cache: Path) -> None:
    """Passes over the images go on where they were; schedules and warm-ups count these epochs and steps."""
    sgd = {"name": "sgd", "lr": 0.02}
    by_step = changed(tiny_run, schedule={"name": "inverse_time", "decay": 0.1}, optimizer=sgd)
    passes = fit_of(by_step, private_cache)
    per_pass = passes.steps_per_epoch()
    fit = fit_of(changed(by_step, training={"steps_per_epoch": per_pass + 2}), private_cache)
    assert [fit.train_epoch().steps for _ in range(2)] == [per_pass + 2] * 2
    assert fit.optimizer.param_groups[0]["lr"] == pytest.approx(0.02 / (1 + 0.1 * (2 * per_pass + 3)))
    expected = [batch.tolist() for epoch in range(3) for batch in passes.stream.of(epoch)]
    found = [batch.tolist() for epoch in range(2) for batch in fit.stream.of(epoch)]
    assert found == expected[: 2 * per_pass + 4]
    steady = changed(tiny_run, optimizer=sgd, schedule="constant")
    rising = fit_of(changed(steady, training={"steps_per_epoch": 1, "lr_warmup_epochs": 4}), private_cache)
    assert [rising.train_epoch().lr for _ in range(4)] == pytest.approx([0.005, 0.01, 0.015, 0.02])


def test_epochs_as_long_as_a_pass_are_passes(tiny_run: RunConfig, private_cache: Path) -> None:
    whole = fit_of(tiny_run, private_cache)
    cut = fit_of(changed(tiny_run, training={"steps_per_epoch": whole.steps_per_epoch()}), private_cache)
    assert [cut.train_epoch().train_loss for _ in range(2)] == [whole.train_epoch().train_loss for _ in range(2)]
    assert changes(values(cut), values(whole)) == set()


def test_while_it_warms_up_only_head_and_proxies_train(tiny_run: RunConfig, private_cache: Path) -> None:
    fit = fit_of(changed(tiny_run, training={"warmup_epochs": 1}, optimizer={"weight_decay": 0.1}), private_cache)
    start = values(fit)
    fit.train_epoch()
    warm = values(fit)
    statistics = {key for key in start if "running_" in key or "num_batches" in key}
    assert changes(start, warm) - statistics == {"head.weight", "head.bias", "proxies"}
    fit.train_epoch()
    assert {key for key in start if key.startswith("backbone")} <= changes(warm, values(fit))


@pytest.mark.parametrize(
    ("batch_norm", "still"),
    [("train", set()), ("frozen_statistics", {"running"}), ("frozen", {"running", "affine"})],
)
def test_batch_norm_keeps_what_is_frozen(
    tiny_run: RunConfig, private_cache: Path, batch_norm: str, still: set[str]
) -> None:
    run = changed(tiny_run, backbone={"batch_norm": batch_norm}, training={"warmup_epochs": 0})
    fit = fit_of(run, private_cache)
    start = values(fit)
    fit.train_epoch()
    fit.embed(fit.data.split.val)
    moved = changes(start, values(fit))
    running = {key for key in start if "running_" in key}
    affine = {key for key in start if ".1.weight" in key or ".1.bias" in key}
    assert len(running) == len(affine) == 8
    assert moved & running == (set() if "running" in still else running)
    assert moved & affine == (set() if "affine" in still else affine)


def test_evaluating_changes_nothing(tiny_run: RunConfig, private_cache: Path) -> None:
    fit = fit_of(tiny_run, private_cache)
    fit.train_epoch()
    before = values(fit)
    first, second = (fit.embed(fit.data.split.val) for _ in range(2))
    assert torch.equal(first, second)
    assert changes(before, values(fit)) == set()


def test_the_head_does_not_round_to_half_precision(tiny_run: RunConfig, private_cache: Path) -> None:
    fit = fit_of(changed(tiny_run, training={"precision": "bfloat16"}), private_cache)
    embeddings = fit.embed(fit.data.split.val)
    assert embeddings.dtype == torch.float32
    assert not torch.equal(embeddings, embeddings.bfloat16().float())


def test_a_fit_that_ends_early_ends_on_the_schedule_of_the_whole_run(tiny_run: RunConfig, private_cache: Path) -> None:
    """A refit repeats the epochs that led to the selected one; a schedule drawn together would be another training."""
    run = changed(tiny_run, training={"epochs": 8})
    rates = []
    for epochs in (3, 8):
        fit = fit_of(run, private_cache, epochs=epochs)
        rates.append([fit.train_epoch().lr for _ in range(3)])
    assert rates[0] == rates[1]
    assert rates[0][0] == pytest.approx(0.01)
    assert rates[0][2] > 0.008


def test_seeds_give_other_weights_and_one_seed_the_same_for_every_method(
    tiny_run: RunConfig, private_cache: Path
) -> None:
    base = values(fit_of(tiny_run, private_cache))
    for method in ({"synthesis": "none"}, {"loss": "proxy_nca"}, {"optimizer": "sgd"}):
        assert changes(base, values(fit_of(changed(tiny_run, **method), private_cache))) == set()
    random = {"head.weight", "head.bias", "proxies", *(key for key in base if key.endswith(".0.weight"))}
    assert changes(base, values(fit_of(changed(tiny_run, seed=1), private_cache))) == random


@pytest.mark.parametrize(
    "config",
    [
        Adam(lr=0.01, weight_decay=0.1, eps=0.01),
        AdamW(lr=0.01, weight_decay=0.1),
        SGD(lr=0.1, weight_decay=0.1, nesterov=True),
    ],
)
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_the_fused_optimizer_is_the_same_optimizer(
    config: OptimizerConfig, memory_format: torch.memory_format, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trained(arguments: dict[str, Any]) -> Tensor:
        with monkeypatch.context() as patch:
            patch.setattr(OptimizerConfig, "arguments", lambda self: arguments)
            source = torch.Generator().manual_seed(0)
            weight = nn.Parameter(torch.randn(8, 4, 3, 3, generator=source).to(memory_format=memory_format))
            optimizer = build_optimizer(config, backbone=[weight], head=(), proxies=())
            images = torch.randn(2, 4, 5, 5, generator=source).to(memory_format=memory_format)
            for _ in range(20):
                optimizer.zero_grad()
                nn.functional.conv2d(images, weight).square().mean().backward()
                optimizer.step()
            return weight.detach()

    arguments = config.arguments()
    assert arguments["fused"]
    torch.testing.assert_close(trained(arguments), trained({**arguments, "fused": False}), rtol=1e-5, atol=1e-6)
