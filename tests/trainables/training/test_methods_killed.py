"""SIGKILL after every epoch of every synthesis, strategy and stateful loss, at work: the rows are those of one go.

What a checkpoint leaves out starts anew in the next process, and an epoch later the rows differ.
"""

import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from killed_session import forkserver, go_on, rows, train

from trainables.config import RunConfig
from trainables.ledger import Ledger
from trainables.ledger.names import weights_key
from trainables.losses.registry import LOSSES
from trainables.strategies.registry import STRATEGIES
from trainables.synthesis.registry import SYNTHESES


@dataclass(frozen=True)
class Method:
    """Sections of a run, and what its epochs must have reached at some time to say that the method was at work."""

    sections: dict[str, Any]
    reached: dict[str, float] = field(default_factory=dict)


CLASSES, BATCH = 9, 16
KEPT = {"weights": "selected"}
TEACHER = "0" * 16
"""Stands for the id of the run that is learned from."""
SHORT = {"name": "contrastive", "normalize": "lipschitz", "positive_margin": 0.27, "negative_margin": 0.54}
MARGIN = {"name": "margin", "boundary_learning": "learned", "nu": 0.01}
MEMVIR = {"name": "memvir", "steps": 2, "gap": 2, "warmup_epochs": 1}
XBM = {"name": "xbm", "memory_size": 40, "warmup_epochs": 1}
L2A = {
    **{"name": "l2a", "warmup_epochs": 1, "generator_steps": 2, "generator_batch_size": 8, "critic_steps": 2},
    **{"noise_dim": 4, "condition_dim": 4, "generator_width": 16, "critic_width": 16, "generator_lr": 0.01},
}
CCP = {
    **{"name": "ccp", "proxies_per_class": 2, "pool_size": 8, "patience": 2, "min_epochs": 2},
    **{"proximal_weight": 0.01, "proximal_decay": 0.5},
}

METHODS = {
    "none": Method({"loss": "norm_softmax"}),
    "proxy_synthesis, label noise, refit": Method(
        {
            "synthesis": "proxy_synthesis",
            "loss": "proxy_anchor",
            "training_set": {"label_noise": 0.2, "class_fraction": 0.9},
            "protocol": {"refit": True, "evaluate_every": 2},
        }
    ),
    "memvir": Method({"synthesis": MEMVIR}, {"synthesis_classes": 3 * CLASSES, "synthesis_rows": 3 * BATCH}),
    "l2a": Method({"synthesis": L2A}, {"synthesis_classes": 2 * CLASSES, "synthesis_critic_gap": -100}),
    "l2a, a generator step with each step": Method(
        {"synthesis": {**L2A, "refresh": "step"}, "loss": "softmax"},
        {"synthesis_classes": 2 * CLASSES, "synthesis_critic_gap": -100},
    ),
    "xbm": Method({"synthesis": XBM, "loss": SHORT}, {"synthesis_memory_rows": 40}),
    "input_mixup, curricularface": Method({"synthesis": "input_mixup", "loss": "curricularface"}),
    "manifold_mixup": Method({"synthesis": "manifold_mixup", "loss": {"name": "soft_triple", "centers_per_class": 2}}),
    "virtual_softmax": Method({"synthesis": "virtual_softmax", "loss": "cosface"}),
    "curricularface": Method({"loss": "curricularface"}),
    "margin, drawn triplets, a learned boundary": Method({"loss": MARGIN}),
    "patience, test classes in every epoch": Method(
        {"training": {"epochs": 8}, "protocol": {"patience": 2, "test": "every_eval"}}
    ),
    "float16": Method({"training": {"precision": "float16"}}),
    "untrained": Method({"strategy": "untrained"}),
    "transfer": Method(
        {
            "strategy": {"name": "transfer", "views": 2, "teacher": {"run": TEACHER}},
        }
    ),
    "ccp": Method(
        {"strategy": CCP, "loss": SHORT, "training": {"epochs": 12}},
        {"ccp_round": 2, "ccp_anchor_epoch": 4},
    ),
}

FROZEN = {"name": "conv4", "width": 8, "trainable": False}
REFIT = {"refit": True}
VARIANTS = {
    "proxy_synthesis by pair": Method(
        {"synthesis": {"name": "proxy_synthesis", "mixing": "pair", "pairing": "permutation", "ratio": 1.5}}
    ),
    "proxy_synthesis, nearest proxies": Method(
        {"synthesis": {"name": "proxy_synthesis", "pairing": "nearest_proxy"}, "loss": "softmax", "protocol": REFIT}
    ),
    "memvir, jump": Method({"synthesis": {**MEMVIR, "curriculum": "jump"}, "protocol": REFIT}, {"synthesis_rows": 48}),
    "memvir, weights": Method({"synthesis": {**MEMVIR, "memory": "weights"}, "loss": "softmax"}),
    "memvir, embeddings, curricularface": Method(
        {"synthesis": {**MEMVIR, "memory": "embeddings", "reduction": "mean_current"}, "loss": "curricularface"}
    ),
    "l2a, separate, curricularface": Method(
        {"synthesis": {**L2A, "generate": "both", "reduction": "separate"}, "loss": "curricularface"}
    ),
    "l2a, seen classes, seldom": Method({"synthesis": {**L2A, "generate": "seen", "refresh_every": 2}}),
    "l2a, fixed proxies": Method({"synthesis": {**L2A, "novel_proxies": "fixed"}, "protocol": REFIT}),
    "l2a, never again": Method({"synthesis": {**L2A, "refresh": "never", "critic_weight": 0}}),
    "xbm before": Method(
        {"synthesis": {**XBM, "enqueue": "before"}, "loss": {"name": "triplet", "miner": "semi_hard"}}
    ),
    "xbm, margin": Method({"synthesis": XBM, "loss": MARGIN}),
    "input_mixup, margin": Method({"synthesis": "input_mixup", "loss": MARGIN}),
    "manifold_mixup of features": Method({"synthesis": "manifold_mixup", "backbone": FROZEN}),
    "bfloat16, sgd": Method(
        {"training": {"precision": "bfloat16", "lr_warmup_epochs": 2}, "optimizer": {"name": "sgd", "nesterov": True}}
    ),
    "transfer, refit": Method(
        {"strategy": {"name": "transfer", "loss": "rkd", "teacher": {"run": TEACHER}}, "protocol": REFIT}
    ),
    "transfer, class labels": Method({"strategy": {"name": "transfer", "relabel": "hard"}}),
    "ccp, xbm": Method({"strategy": {**CCP, "patience": 1}, "synthesis": XBM, "loss": SHORT}, {"ccp_round": 1}),
    "ccp, official": Method(
        {"strategy": {**CCP, "compat": "official", "min_epochs": 1}, "loss": SHORT, "training": {"epochs": 12}},
        {"ccp_round": 2},
    ),
    "ccp, fixed, back to the best": Method(
        {
            "strategy": {**CCP, "instance": "fixed", "rollback": "best", "center_space": "normalized"},
            "loss": {"name": "multi_similarity", "normalize": "lipschitz"},
            "training": {"epochs": 8},
        },
        {"ccp_round": 3},
    ),
}
"""Further settings of the same methods."""


def changed(run: RunConfig, sections: dict[str, Any]) -> RunConfig:
    """The run with other sections; of the configurations without a name only some fields."""
    content = {**run.model_dump(), "synthesis": "none"}
    for key, value in sections.items():
        partly = key in {"training", "training_set", "protocol"}
        content[key] = {**content[key], **value} if partly else value
    return RunConfig.model_validate(content)


def result(run: RunConfig, ledger: Ledger, cache: Path) -> dict[str, list[dict[str, Any]]]:
    """The rows after training to the end, from the newest checkpoint."""
    go_on(run, ledger, cache, generation=1000)
    found = rows(ledger)
    assert [row["error"] for row in found["runs"]] == [None]
    assert ledger.list("checkpoints/") == []
    return found


def kill(run: RunConfig, ledger: Ledger, cache: Path, operations: list[int]) -> None:
    """One process after the other goes on with the run, each until it has made so many writes and deletions."""
    context = forkserver()
    for generation, operation in enumerate(operations, start=1):
        arguments = (run.model_dump_json(), ledger.location, str(cache), operation, False, generation)
        process = context.Process(target=train, args=arguments)
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL


def artifacts_of_teacher(run: RunConfig, ledger: Ledger, cache: Path) -> dict[str, bytes]:
    """The weights that a short run keeps, by the key at which a student with the teacher `TEACHER` looks for them."""
    if run.strategy.name != "transfer":
        return {}
    teacher = changed(run, {"strategy": "plain", "training": {"epochs": 1}, "embedding_dim": 24, "keep": KEPT})
    go_on(teacher, ledger, cache)
    return {weights_key(TEACHER): ledger.get(weights_key(teacher.run_id()))}


def check(method: Method, tiny_run: RunConfig, folder: Path, cache: Path) -> None:
    """Compares the rows after kills with those of a run in one go."""
    run = changed(tiny_run, method.sections)
    whole, killed = (Ledger.open(folder / name, create=True) for name in ("whole", "killed"))
    for key, content in artifacts_of_teacher(run, Ledger.open(folder / "teacher", create=True), cache).items():
        whole.put(key, content)
        killed.put(key, content)
    expected = result(run, whole, cache)
    epochs = [dict(row["extra"]) for row in expected["epochs"]]
    for figure, least in method.reached.items():
        assert max(row.get(figure, float("-inf")) for row in epochs) >= least, f"{figure} in {epochs}"
    # Operation 0 claims the run, 1 is the checkpoint of an epoch; the last process dies within the final commit.
    kill(run, killed, cache, [*(1 + number % 2 for number in range(len(epochs) - 1)), 2])
    assert result(run, killed, cache) == expected


@pytest.mark.parametrize("name", METHODS)
def test_a_kill_after_every_epoch_changes_nothing(
    name: str, tiny_run: RunConfig, private_cache: Path, tmp_path: Path
) -> None:
    check(METHODS[name], tiny_run, tmp_path, private_cache)


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
def test_nor_does_it_in_other_settings(name: str, tiny_run: RunConfig, private_cache: Path, tmp_path: Path) -> None:
    check(VARIANTS[name], tiny_run, tmp_path, private_cache)


def test_every_synthesis_and_strategy_is_killed(tiny_run: RunConfig) -> None:
    runs = [changed(tiny_run, method.sections) for method in METHODS.values()]
    stateful = {name for name, loss in LOSSES.items() if getattr(loss, "stateful", False)}
    assert {run.synthesis.name for run in runs} == set(SYNTHESES)
    without_epochs = {"fold_ensemble"}  # it reads what others kept, see tests/study/launch/test_launch_needs.py
    assert {run.strategy.name for run in runs} == set(STRATEGIES) - without_epochs
    assert {run.loss.name for run in runs} >= stateful
