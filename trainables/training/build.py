"""Everything that a run trains with, put together from its configuration."""

import os
from collections.abc import Callable
from pathlib import Path

import torch

from trainables.config import RunConfig
from trainables.parts import load_implementation
from trainables.strategies.base import Artifacts, Strategy, no_artifacts
from trainables.training.data import load_run_data


def build_strategy(
    run: RunConfig,
    *,
    cache: Path,
    artifacts: Artifacts = no_artifacts,
    implementation: Callable[..., Strategy] | None = None,
) -> Strategy:
    """The strategy of a run, with its data opened and its threads and determinism set.

    Args:
        artifacts: reads what other runs kept in the results folder.
        implementation: of the strategy; the registered one by default.
    """
    set_numerics(run)
    data = load_run_data(run, cache=cache)
    all_classes = load_run_data(run, cache=cache, everything=True) if run.protocol.refit else data
    build: Callable[..., Strategy] = implementation or load_implementation(run.strategy)
    return build(run, data, all_classes, artifacts=artifacts)


def set_numerics(run: RunConfig) -> None:
    """Threads and determinism of this process, as the run wants them."""
    torch.set_num_threads(run.training.threads)
    if run.training.compile:
        torch._dynamo.config.suppress_errors = True  # a graph that cannot be compiled runs as it is, with a warning
    if run.device == "cuda":
        # Read when cuBLAS starts; before 2.10, torch refuses deterministic matrix products without it.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(run.training.deterministic)
