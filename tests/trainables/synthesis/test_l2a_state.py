"""L2A goes on to the same bits from wherever it was stopped."""

from pathlib import Path
from typing import Any

import pytest
import torch
from l2a_problem import PROXY_LOSSES, SMALL, Problem, flat

from trainables.config import RunConfig
from trainables.training import checkpoint
from trainables.training.data import load_run_data
from trainables.training.fit import Fit


class TestState:
    @pytest.mark.parametrize(
        "fields",
        [
            {"refresh": "step"},
            {"refresh": "epoch", "refresh_every": 2, "novel_proxies": "fixed"},
            {"refresh": "never", "loss": "proxy_anchor"},
            {"critic_weight": 0, "refresh": "step", "loss": PROXY_LOSSES[-1]},
            {"generate": "seen"},
        ],
    )
    def test_a_round_trip_goes_on_to_the_same_bits(self, fields: dict[str, Any]) -> None:
        whole = Problem(**fields, warmup_epochs=1)
        expected = [whole.epoch(epoch) for epoch in range(4)]
        stopped = Problem(**fields, warmup_epochs=1)
        for epoch in range(2):
            stopped.epoch(epoch)
        state, _ = checkpoint.from_bytes(checkpoint.to_bytes(stopped.state(), []))
        kept = flat(state)
        stopped.epoch(2)
        assert flat(state) == kept
        torch.manual_seed(99)
        resumed = Problem(**fields, warmup_epochs=1)
        resumed.load(state)
        assert [resumed.epoch(epoch) for epoch in (2, 3)] == expected[2:]
        assert flat(resumed.state()) == flat(whole.state())
        assert resumed.part.epoch_metrics() == whole.part.epoch_metrics()

    def test_loading_keeps_the_parameters_that_the_runs_optimiser_holds(self) -> None:
        source, target = Problem(), Problem()
        source.epoch(0)
        held = list(target.part.parameters())
        target.part.load_state_dict(source.part.state_dict())
        assert all(one is two for one, two in zip(held, target.part.parameters(), strict=True))
        assert torch.equal(held[0], next(iter(source.part.parameters())))

    def test_a_foreign_state_is_refused(self) -> None:
        state = Problem(critic_weight=0).part.state_dict()
        with pytest.raises(ValueError, match="critic_optimizer"):
            Problem().part.load_state_dict(state)

    def test_global_generators_are_neither_used_nor_moved(self) -> None:
        results = []
        for seed in (1, 2):
            torch.manual_seed(seed)
            problem = Problem(refresh="step")
            results.append([problem.epoch(0), torch.initial_seed(), torch.rand(1).item()])
            torch.manual_seed(seed)
            assert torch.rand(1).item() == results[-1][2]
        assert results[0][0] == results[1][0]

    def test_a_run_goes_on_to_the_same_bits(self, tiny_run: RunConfig, private_cache: Path) -> None:
        content = {**tiny_run.model_dump(), "synthesis": {"name": "l2a", **SMALL, "warmup_epochs": 1}}
        run = RunConfig.model_validate(content)
        data = load_run_data(run, cache=private_cache)
        whole, stopped, resumed = (Fit(run, data, epochs=4) for _ in range(3))
        losses = [whole.train_epoch().train_loss for _ in range(4)]
        for _ in range(2):
            stopped.train_epoch()
        state, _ = checkpoint.from_bytes(checkpoint.to_bytes(stopped.state_dict(), []))
        resumed.load_state_dict(state)
        assert [resumed.train_epoch().train_loss for _ in range(2)] == losses[2:]
        assert flat(resumed.state_dict()) == flat(whole.state_dict())
