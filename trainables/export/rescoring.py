"""Metrics of a finished run that nobody asked for when it was trained, from what it kept."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from trainables import provenance
from trainables.config import RunConfig
from trainables.errors import ConfigError, DataError
from trainables.evaluation.names import MetricName, metric_name
from trainables.evaluation.scoring import Distance
from trainables.export.embeddings import Check, on_this_machine, part_embeddings, require_same
from trainables.export.kept_run import KeptRun
from trainables.ledger.names import embeddings_key, weights_key
from trainables.strategies.ensemble_config import FoldEnsemble
from trainables.strategies.evaluation import Evaluation
from trainables.training.build import build_strategy
from trainables.training.data import RunData
from trainables.training.measure import measure_also

_TEST = "test_"


@dataclass(frozen=True)
class Rescored:
    """What was computed.

    Attributes:
        metrics: by column of table `runs`: `test_recall_at_16`, `test_map_at_r_euclidean`.
        source: where the embeddings come from, in words.
        checks: metrics that the run recorded, beside the same of these embeddings.
    """

    metrics: dict[str, float]
    source: str
    device: str
    checks: tuple[Check, ...]


def column(metric: str, *, distance: Distance | None, run: RunConfig) -> str:
    """Where readers find a metric: under its name, with the distance where it is not the run's own."""
    own = distance in (None, run.protocol.distance)
    return f"{_TEST}{metric}" if own else f"{_TEST}{metric}_{distance}"


def can_rescore(run: RunConfig, run_id: str, kept: Collection[str]) -> bool:
    """Whether a run's test embeddings can be had again without training.

    Args:
        kept: keys below `artifacts/` of its results folder.
    """
    if embeddings_key(run_id) in kept or weights_key(run_id) in kept:
        return True
    if isinstance(run.strategy, FoldEnsemble):
        return all(embeddings_key(member) in kept for member in run.strategy.members)
    return not run.strategy.trains


def rescore(kept: KeptRun, metrics: Sequence[MetricName], *, distance: Distance | None, cache: Path) -> Rescored:
    """Metrics of a run's test embeddings, after those that it recorded came out the same.

    Args:
        distance: the run's own by default.
        cache: of decoded images and features.

    Raises:
        DataError: the run kept too little, its data are not here, a metric that it recorded comes out as another one,
            or one that was asked for does not exist for its data.
    """
    run, own = kept.config, kept.config.protocol.distance
    recorded = _recorded(kept)
    vectors, data, source, device = _embeddings(kept, cache=cache)
    known = [metric_name(name) for name in recorded]
    other = distance not in (None, own)
    try:
        ours = measure_also(run, data, vectors, known if other else [*known, *metrics], distance=own)
        checks = tuple(Check(_TEST + name, ours[name], value) for name, value in recorded.items())
        require_same(checks, kept.run_id, images=len(vectors))
        found = measure_also(run, data, vectors, metrics, distance=distance or own) if other else ours
    except ValueError as error:
        raise DataError(f"run {kept.run_id}: {error}") from error
    named = {column(name.text, distance=distance, run=run): found[name.text] for name in metrics}
    return Rescored(named, source, device, checks)


def row_of(kept: KeptRun, done: Rescored, *, distance: Distance | None) -> dict[str, Any]:
    """Columns of table `evaluations`."""
    return {
        "run_id": kept.run_id,
        "attempt": kept.row["attempt"],
        "distance": distance or kept.config.protocol.distance,
        "source": done.source,
        "host": provenance.host_name(),
        "device": done.device,
        "git_commit": provenance.git_commit(),
        "versions": provenance.package_versions(),
        "extra": done.metrics,
    }


def _recorded(kept: KeptRun) -> dict[str, float]:
    """Test metrics of the run's row that its embeddings determine."""
    found = {}
    for key, value in kept.metrics.items():
        if key.startswith(_TEST):
            try:
                found[metric_name(key.removeprefix(_TEST)).text] = value
            except ConfigError:  # of deformed images
                continue
    return found


def _embeddings(kept: KeptRun, *, cache: Path) -> tuple[Tensor, RunData, str, str]:
    """Test embeddings, the data, and where they come from: what, and on which device."""
    run = kept.config
    if run.strategy.trains or kept.ledger.exists(embeddings_key(kept.run_id)):
        vectors, data, source = part_embeddings(kept, "test", cache=cache)
        return vectors, data, source, data.device.type
    here = on_this_machine(run)
    strategy = build_strategy(here, cache=cache, artifacts=kept.ledger.get)
    if not isinstance(strategy, Evaluation):
        raise DataError(f"run {kept.run_id}: strategy '{run.strategy.name}' has no embeddings without training")
    with torch.no_grad():
        vectors = strategy.test_embeddings().cpu()
    return vectors, strategy.data, f"strategy '{run.strategy.name}', which trains nothing", here.device
