"""The cross-batch memory over a scripted sequence of steps, with numbers derived by hand."""

from pathlib import Path
from typing import Literal

import pytest
import torch
from pydantic import ValidationError

from trainables.batch import Batch
from trainables.config import RunConfig
from trainables.losses.config import NormSoftmax
from trainables.losses.module import BaseLoss
from trainables.losses.pair_config import Contrastive, Margin, PairLossConfig
from trainables.randomness import isolated_rng
from trainables.step import Step
from trainables.synthesis import xbm
from trainables.synthesis.base import Space
from trainables.synthesis.memory_config import XBM
from trainables.training import checkpoint
from trainables.training.data import load_run_data
from trainables.training.fit import Fit

EAST, NORTH, WEST, SOUTH = (1.0, 0.0), (0.0, 2.0), (-3.0, 0.0), (0.0, -0.5)
Rows = list[tuple[tuple[float, float], int]]

# A positive pair with cosine s costs 1 - s, a negative pair 1 + s; the sum over pairs is divided by the batch's rows.
LOSS = Contrastive(distance="cosine", reduction="rows", negative_margin=2.0)
SCRIPT: list[tuple[int, Rows]] = [
    (0, [(EAST, 0), (NORTH, 0)]),
    (1, [(EAST, 0), (NORTH, 1)]),
    (1, [(WEST, 0), (NORTH, 0)]),
    (1, [(EAST, 1)]),
    (2, [(EAST, 0), (EAST, 0), (EAST, 1), (SOUTH, 1)]),
]


def base(config: PairLossConfig | NormSoftmax = LOSS) -> BaseLoss:
    return BaseLoss(config, num_classes=3, embedding_dim=2, seed=0)


def memory(
    *, size: int = 3, warmup: int = 1, weight: float = 0.5, enqueue: Literal["after", "before"] = "after"
) -> xbm.XBM:
    config = XBM(memory_size=size, warmup_epochs=warmup, weight=weight, enqueue=enqueue)
    return xbm.XBM(config, Space(num_classes=3, embedding_dim=2))


def batch(rows: Rows) -> Batch:
    embeddings = torch.tensor([row for row, _ in rows], dtype=torch.float64, requires_grad=True)
    return Batch(embeddings, torch.tensor([label for _, label in rows]), None)


def play(synthesis: xbm.XBM, script: list[tuple[int, Rows]], *, first: int = 0) -> list[float]:
    return [
        synthesis.loss(base(), batch(rows), Step(0, epoch, index)).item()
        for index, (epoch, rows) in enumerate(script, start=first)
    ]


def held(synthesis: xbm.XBM) -> Rows:
    return [((x, y), label) for (x, y), label in zip(synthesis.rows.tolist(), synthesis.labels.tolist(), strict=True)]


class TestScript:
    def test_losses(self) -> None:
        """The terms of every step: within the batch, and against the memory of the steps before it.

        0. Warm-up: a positive pair both ways at cosine 0, (1 + 1) / 2; nothing is remembered.
        1. A negative pair both ways at 0: 1. The memory is empty.
        2. Within 1. Memory E0 N1: W0 has 2 and 1, N0 has 1 and 2: 6 / 2 = 3.
        3. One row costs nothing alone. Memory N1 W0 N0: E1 has 1, 0 and 1: 2 / 1.
        4. Within: E0 E0 0, four ordered E0 E1 at 2, four E0 S1 at 1, two E1 S1 at 1: 14 / 4. Memory W0 N0 E1: each E0
           has 2, 1, 2; E1 has 0, 1, 0; S1 has 1, 0, 1: 13 / 4.
        """
        expected = [1.0, 1.0, 1 + 0.5 * 3, 0.5 * 2, 3.5 + 0.5 * 3.25]
        assert play(memory(), SCRIPT) == pytest.approx(expected, abs=1e-12)

    def test_memory(self) -> None:
        """The latest three rows, oldest first, as the network gave them; a larger batch leaves its last ones."""
        synthesis, seen = memory(), []
        for step in SCRIPT:
            play(synthesis, [step])
            seen.append(held(synthesis))
        assert seen == [
            [],
            [(EAST, 0), (NORTH, 1)],
            [(NORTH, 1), (WEST, 0), (NORTH, 0)],
            [(WEST, 0), (NORTH, 0), (EAST, 1)],
            [(EAST, 0), (EAST, 1), (SOUTH, 1)],
        ]

    def test_memory_is_no_view_into_more(self) -> None:
        """What a checkpoint gives back lies at the start of its storage; so does what was never saved."""
        synthesis = memory()
        play(synthesis, SCRIPT)
        assert synthesis.rows.untyped_storage().nbytes() == 3 * 2 * synthesis.rows.element_size()
        assert synthesis.labels.untyped_storage().nbytes() == 3 * synthesis.labels.element_size()

    def test_enqueued_before(self) -> None:
        """As in the paper, the batch meets itself in the memory.

        1. Memory E0 N1: 0 + 1 for E0, 1 + 0 for N1: 2 / 2.
        2. Memory N1 W0 N0: W0 has 1, 0, 1; N0 has 2, 1, 0: 5 / 2.
        """
        assert play(memory(enqueue="before"), SCRIPT[:3]) == pytest.approx([1, 1 + 0.5, 1 + 0.5 * 2.5], abs=1e-12)

    def test_the_gradient_reaches_the_batch_alone(self) -> None:
        synthesis, rows = memory(weight=2.0), batch([(NORTH, 0)])
        play(synthesis, [(1, [(EAST, 0)])])
        synthesis.loss(base(), rows, Step(0, 1, 1)).backward()
        # 2 (1 - s) with s = x / |v| at v = (0, 2): the derivative of s is (1/2, 0).
        assert rows.embeddings.grad is not None
        torch.testing.assert_close(rows.embeddings.grad, torch.tensor([[-1.0, 0.0]], dtype=torch.float64))
        assert not synthesis.rows.requires_grad

    def test_rows_that_are_no_images_are_not_remembered(self) -> None:
        synthesis, rows = memory(), batch(SCRIPT[2][1])
        synthesis.loss(base(), Batch(rows.embeddings, rows.labels, None, real=1), Step(0, 1, 0))
        assert held(synthesis) == [(WEST, 0)]

    def test_half_precision_is_remembered_widened(self) -> None:
        synthesis = memory()
        synthesis.loss(base(), Batch(torch.ones(2, 2).bfloat16(), torch.tensor([0, 1]), None), Step(0, 1, 0))
        assert synthesis.rows.dtype == torch.float32

    def test_a_loss_without_pairs(self) -> None:
        proxies = base(NormSoftmax()).double()
        rows = batch(SCRIPT[0][1])
        with pytest.raises(ValueError, match="compares no pairs"):
            memory().loss(proxies, Batch(rows.embeddings, rows.labels, proxies.classes), Step(0, 1, 0))


class TestState:
    @pytest.mark.parametrize("stop", range(len(SCRIPT) + 1))
    def test_goes_on_to_the_same_bits(self, stop: int) -> None:
        whole, part, resumed = memory(), memory(), memory()
        expected = play(whole, SCRIPT)
        before = play(part, SCRIPT[:stop])
        state, _ = checkpoint.from_bytes(checkpoint.to_bytes(part.state_dict(), []))
        resumed.load_state_dict(state)
        assert before + play(resumed, SCRIPT[stop:], first=stop) == expected
        assert torch.equal(resumed.rows, whole.rows)
        assert torch.equal(resumed.labels, whole.labels)

    def test_is_no_larger_than_the_memory(self) -> None:
        synthesis = memory(size=2)
        play(synthesis, SCRIPT)
        assert all(value.untyped_storage().nbytes() == value.nbytes for value in synthesis.state_dict().values())

    def test_a_foreign_state_is_refused(self) -> None:
        with pytest.raises(ValueError, match=r"rows and labels; the checkpoint holds \['queue'\]"):
            memory().load_state_dict({"queue": 1})

    def test_fill_is_reported(self) -> None:
        synthesis = memory(size=5)
        play(synthesis, SCRIPT[:2])
        assert synthesis.epoch_metrics() == {"synthesis_memory_rows": 2.0}


class TestConfiguration:
    def test_losses_without_pairs_are_refused(self) -> None:
        with pytest.raises(ValidationError, match="'proxy_anchor' is none; possible losses: contrastive, margin"):
            RunConfig.model_validate({"loss": "proxy_anchor", "synthesis": "xbm"})

    def test_a_warm_up_as_long_as_the_run_is_refused(self) -> None:
        with pytest.raises(ValidationError, match="does nothing before epoch 6"):
            run = {"loss": "triplet", "synthesis": {"name": "xbm", "warmup_epochs": 5}, "training": {"epochs": 5}}
            RunConfig.model_validate(run)

    def test_without_weight_it_is_no_synthesis(self) -> None:
        runs = [{"loss": "triplet", "synthesis": part} for part in ("none", {"name": "xbm", "weight": 0.0})]
        first, second = (RunConfig.model_validate(run).run_id() for run in runs)
        assert first == second

    def test_nobody_judges_before_the_memory_is_there(self) -> None:
        assert XBM(warmup_epochs=3).grace_epochs == 4


class TestRuns:
    def test_stopped_and_resumed_with_a_miner_that_draws(self, tiny_run: RunConfig, private_cache: Path) -> None:
        parts = {"loss": Margin(), "synthesis": XBM(memory_size=20, warmup_epochs=1)}
        run = tiny_run.model_copy(update=parts)
        data = load_run_data(run, cache=private_cache)
        whole, part, resumed = (Fit(run, data, epochs=3) for _ in range(3))
        losses = [whole.train_epoch().train_loss for _ in range(3)]
        first = [part.train_epoch().train_loss for _ in range(2)]
        state, _ = checkpoint.from_bytes(checkpoint.to_bytes(part.state_dict(), []))
        with isolated_rng(1, "another process"):
            resumed.load_state_dict(state)
            assert [*first, resumed.train_epoch().train_loss] == losses
        for name, value in whole.weights()["model"].items():
            assert torch.equal(value, resumed.weights()["model"][name])
        assert whole.synthesis.epoch_metrics() == {"synthesis_memory_rows": 20.0}
