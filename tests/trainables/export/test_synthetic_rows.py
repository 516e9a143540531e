"""What a run's synthesis adds to its embeddings, from what the run kept."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from trainables.config import RunConfig
from trainables.export.kept_run import KeptRun, kept_run
from trainables.export.proxies import ClassProxies, run_proxies
from trainables.export.synthetic import past_steps, synthetic_rows
from trainables.ledger import Ledger
from trainables.testing.runs import changed

Train = Callable[[RunConfig], str]

MEMVIR = {"name": "memvir", "steps": 8, "gap": 0, "warmup_epochs": 0}
L2A = {
    **{"name": "l2a", "warmup_epochs": 1, "novel_ratio": 0.5, "refresh": "epoch", "generator_steps": 2},
    **{"generator_width": 16, "critic_width": 16, "noise_dim": 4, "condition_dim": 4, "samples_per_class": 1},
}


def test_mixtures_lie_between_two_classes(run: RunConfig, tmp_path: Path) -> None:
    run = changed(run, synthesis={"name": "proxy_synthesis", "ratio": 1.0})
    embeddings = np.repeat(np.eye(2, 3, dtype=np.float32), 4, axis=0)
    proxies = ClassProxies(np.eye(2, 3, dtype=np.float32)[:, None], ("a", "b"))
    labels = np.repeat([0, 1], 4)
    ledger = Ledger.open(tmp_path, create=True)
    made = synthetic_rows(KeptRun(ledger, "r", {}, run), embeddings, labels, proxies)
    assert made is not None and made.name == "synthetic"
    assert len(made.embeddings) and (made.embeddings[:, :2] > 0).all() and (made.embeddings[:, 2] == 0).all()
    assert len(made.proxies) and (made.proxies[:, 2] == 0).all()
    plain = changed(run, synthesis={"name": "none"})
    assert synthetic_rows(KeptRun(ledger, "r", {}, plain), embeddings, labels, proxies) is None


def test_memvir_keeps_some_of_its_past_steps(ledger: Ledger, train: Train, run: RunConfig, private_cache: Path) -> None:
    run = changed(run, synthesis=MEMVIR, training={"epochs": 3}, protocol={"selection": "last"})
    run_id = train(run)
    kept, proxies = kept_run(ledger, run_id), run_proxies(ledger, run_id, cache=private_cache)
    past = past_steps(kept)
    assert [step.age for step in past] == [1, 3, 5, 7], "every second of eight"
    assert all(step.proxies.shape == proxies.weights[:, 0].shape for step in past)
    moved = [np.abs(step.proxies - proxies.weights[:, 0]).mean() for step in past]
    assert 0 < moved[0] < moved[-1], "older weights are further away"
    made = synthetic_rows(kept, past[0].embeddings, np.zeros(len(past[0].labels), dtype=np.int64), proxies)
    assert made is not None and made.name == "virtual"
    assert np.array_equal(made.proxies, np.stack([step.proxies[0] for step in past]))
    assert len(made.embeddings) == sum((step.labels == 0).sum() for step in past)


def test_the_generator_of_l2a_goes_on_generating(
    ledger: Ledger, train: Train, run: RunConfig, private_cache: Path
) -> None:
    run_id = train(changed(run, synthesis=L2A, training={"epochs": 3}, protocol={"selection": "last"}))
    kept, proxies = kept_run(ledger, run_id), run_proxies(ledger, run_id, cache=private_cache)
    novel = kept.synthesis_parts()["novel"]["weights"].numpy()
    embeddings = 3 * np.eye(*proxies.weights[:, 0].shape, dtype=np.float32)[:8]
    made = synthetic_rows(kept, embeddings, np.arange(8), proxies)
    assert made is not None and made.name == "generated"
    assert np.array_equal(made.proxies, novel) and len(novel) == round(0.5 * len(proxies.weights))
    assert np.linalg.norm(made.embeddings, axis=1) == pytest.approx(3, rel=1e-4), "as long as the real ones"
    again = synthetic_rows(kept, embeddings, np.arange(8), proxies)
    assert again is not None and np.array_equal(made.embeddings, again.embeddings)


def test_a_run_without_a_synthesis_keeps_nothing_of_it(ledger: Ledger, train: Train, run: RunConfig) -> None:
    kept = kept_run(ledger, train(changed(run, synthesis={"name": "none"}, training={"epochs": 1})))
    assert kept.synthesis_parts() == {} and past_steps(kept) == []


def test_what_is_kept_is_of_the_selected_epoch(ledger: Ledger, train: Train, run: RunConfig) -> None:
    """Nothing is learned, so that the first epoch is the best; the queue of the last one has another batch."""
    still = changed(run, synthesis={**MEMVIR, "steps": 1}, training={"epochs": 4}, optimizer={"lr": 1e-12})
    best, last = (train(changed(still, protocol={"selection": each})) for each in ("best_validation", "last"))
    epochs = {row["run_id"]: row["selected_epoch"] for row in ledger.read("runs").to_pylist()}
    assert epochs[best] < epochs[last] == 4
    first, second = (past_steps(kept_run(ledger, run_id))[0].labels for run_id in (best, last))
    assert not np.array_equal(first, second)
