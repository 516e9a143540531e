"""MemVir in real trainings: its growth over epochs, and runs that were stopped and go on."""

from pathlib import Path
from typing import Any

import pytest

from trainables.config import RunConfig
from trainables.errors import ConfigError
from trainables.testing.toy_training import same
from trainables.training import checkpoint
from trainables.training.data import load_run_data
from trainables.training.fit import Fit


def with_memory(run: RunConfig, **fields: Any) -> RunConfig:
    content = {**run.model_dump(), "synthesis": {"name": "memvir", **fields}}
    return RunConfig.model_validate(content)


def test_goes_on_to_the_same_bits_and_the_same_queue(tiny_run: RunConfig, private_cache: Path) -> None:
    """Four steps an epoch, none stored in the first; stopped after the second, while the queue of six fills."""
    run = with_memory(tiny_run, steps=2, gap=2, warmup_epochs=1)
    data = load_run_data(run, cache=private_cache)
    unbroken, resumed, metrics = Fit(run, data, epochs=3), Fit(run, data, epochs=3), []
    for epoch in range(3):
        if epoch == 2:
            resumed.load_state_dict(checkpoint.from_bytes(checkpoint.to_bytes(unbroken.state_dict(), []))[0])
        unbroken.train_epoch()
        metrics.append(unbroken.synthesis.epoch_metrics())
    resumed.train_epoch()
    assert same(resumed.state_dict(), unbroken.state_dict())
    assert len(unbroken.state_dict()["synthesis"]["queue"]) == 6
    assert [m["synthesis_classes"] for m in metrics] == [9, 18, 27]
    assert [m["synthesis_rows"] for m in metrics] == [16, 32, 48]


def test_too_large_a_queue_is_refused_as_early_as_it_is_known(tiny_run: RunConfig, private_cache: Path) -> None:
    """495 steps of 16 rows of 16 numbers and a label, and of 9 proxies of 16 numbers: the rows are known with the
    configuration, the proxies with the split, both before the first step."""
    rows, proxies = 495 * 16 * (16 * 4 + 8), 495 * 9 * 16 * 4
    with pytest.raises(ValueError, match="memory_limit"):
        with_memory(tiny_run, memory_limit=rows - 1)
    negatives = with_memory(tiny_run, memory_limit=proxies - 1, memory="weights")
    data = load_run_data(negatives, cache=private_cache)
    assert len(data.split.train_classes) == 9
    with pytest.raises(ConfigError, match="495 past steps of 9 proxies of 16 dimensions"):
        Fit(negatives, data, epochs=4)
    with pytest.raises(ConfigError, match="9 proxies and 16 embeddings"):
        Fit(with_memory(tiny_run, memory_limit=rows), data, epochs=4)
