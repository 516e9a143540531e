"""Metrics that were not asked for at training time, for the finished runs of a study, without training."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from study.invalidation import fitting_runs
from trainables.errors import ConfigError, DataError
from trainables.evaluation.names import MetricName, metric_name
from trainables.ledger import Ledger, evaluations

if TYPE_CHECKING:
    from trainables.evaluation.scoring import Distance
    from trainables.export.kept_run import KeptRun

_COMPACT_EVERY = 100

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Evaluated:
    """What became of the runs of a study's plan.

    Attributes:
        done: runs that got metrics, with where their embeddings come from, in words.
        present: runs that had all of them.
        nothing_kept: runs that kept neither test embeddings nor weights.
        unseen: runs whose protocol never looks at test classes.
        failed: runs that could not be evaluated, each with the reason.
        unfinished: how many runs are not complete yet.
        columns: what tables and plots call these metrics: with the distance, where it is not the runs' own.
        rounding: largest difference between a metric that a run recorded and the same of these embeddings.
    """

    done: Mapping[str, str]
    present: Sequence[str]
    nothing_kept: Sequence[str]
    unseen: Sequence[str]
    failed: Mapping[str, str]
    unfinished: int
    columns: Sequence[str]
    rounding: float


def evaluate(
    ledger: Ledger,
    metrics: Sequence[str],
    *,
    only: Sequence[str] = (),
    distance: "Distance | None" = None,
    cache: Path,
    progress: Progress = lambda done, total, description: None,
) -> Evaluated:
    """Computes metrics of all complete runs of a study's plan and stores them beside the runs' commits.

    From the test embeddings that a run kept, or those of its kept weights; from what needs no training (untrained
    embeddings, fold ensembles). What is stored is found by `analysis.load`. Safe to be killed in and to be called
    again: what is there is not computed twice. Only adds, and so may work beside a driver.

    Args:
        metrics: names, as of `trainables.evaluation.score` and `label_report`.
        only: `key=value` texts that runs have to fit.
        distance: each run's own by default.
        cache: of decoded images and features.

    Raises:
        ConfigError: an unknown metric, or a condition that no run can fit.
    """
    names = [metric_name(text) for text in dict.fromkeys(metrics)]
    planned, chosen = _planned(ledger), _chosen(ledger, only)
    sorted_out = _sorted_out(ledger, [run for run in chosen if run in planned], names, distance=distance)
    done, failed, rounding = dict[str, str](), dict[str, str](sorted_out.failed), 0.0
    for number, (kept, missing) in enumerate(sorted_out.due):
        progress(number, len(sorted_out.due), "evaluating runs")
        try:
            source, difference = _evaluate(ledger, kept, missing, distance=distance, cache=cache)
        except (DataError, ConfigError) as error:
            failed[kept.run_id] = str(error)
            continue
        done[kept.run_id], rounding = source, max(rounding, difference)
        if not len(done) % _COMPACT_EVERY:
            evaluations.compact(ledger)
    progress(len(sorted_out.due), len(sorted_out.due), "evaluating runs")
    evaluations.compact(ledger)
    return Evaluated(
        done=done,
        present=sorted_out.present,
        nothing_kept=sorted_out.nothing_kept,
        unseen=sorted_out.unseen,
        failed=failed,
        unfinished=0 if only else len(planned) - len(planned.intersection(chosen)),
        columns=list(sorted_out.columns),
        rounding=rounding,
    )


def _planned(ledger: Ledger) -> set[str]:
    cells = ledger.read_plan()["cells"]
    return {replicate["run_id"] for cell in cells for replicate in cell["replicates"]}


def _chosen(ledger: Ledger, only: Sequence[str]) -> list[str]:
    commits = ledger.commits()
    fitting = fitting_runs(ledger, only) if only else list(commits)
    return [run_id for run_id in fitting if commits[run_id].status == "complete"]


@dataclass(frozen=True)
class _SortedOut:
    due: "list[tuple[KeptRun, list[MetricName]]]"
    present: list[str]
    nothing_kept: list[str]
    unseen: list[str]
    failed: dict[str, str]
    columns: dict[str, None]


def _sorted_out(
    ledger: Ledger, run_ids: Sequence[str], names: Sequence[MetricName], *, distance: "Distance | None"
) -> _SortedOut:
    """Which runs are due, with the metrics that each lacks; runs on the same images follow each other."""
    from trainables.export.rescoring import can_rescore, column

    result, stored = _SortedOut([], [], [], [], {}, {}), evaluations.known(ledger)
    artifacts = set(ledger.list("artifacts/"))
    for kept in _kept_runs(ledger, run_ids, result.failed):
        run, run_id = kept.config, kept.run_id
        there = {*kept.metrics, *stored.get((run_id, kept.row["attempt"]), ())}
        columns = {column(name.text, distance=distance, run=run): name for name in names}
        result.columns.update(dict.fromkeys(name.removeprefix("test_") for name in columns))
        missing = [name for key, name in columns.items() if key not in there]
        if run.protocol.test == "never":
            result.unseen.append(run_id)
        elif not missing:
            result.present.append(run_id)
        elif not can_rescore(run, run_id, artifacts):
            result.nothing_kept.append(run_id)
        else:
            result.due.append((kept, missing))
    result.due.sort(key=lambda pair: pair[0].config.dataset.model_dump_json())
    return result


def _kept_runs(ledger: Ledger, run_ids: Collection[str], failed: dict[str, str]) -> "Iterator[KeptRun]":
    from trainables.config import RunConfig
    from trainables.export.kept_run import KeptRun

    rows: list[dict[str, Any]] = ledger.read("runs", run_ids=set(run_ids)).to_pylist()
    for row in rows:
        try:
            config = RunConfig.model_validate_json(row["config"])
        except (ValueError, ConfigError) as error:
            failed[row["run_id"]] = f"its configuration is none of this version or its plugins (--plugin): {error}"
            continue
        yield KeptRun(ledger, row["run_id"], row, config)


def _evaluate(
    ledger: Ledger, kept: "KeptRun", names: Sequence[MetricName], *, distance: "Distance | None", cache: Path
) -> tuple[str, float]:
    """Stores a run's metrics; returns where they come from, and the largest difference to what the run recorded."""
    from trainables.export.rescoring import rescore, row_of

    found = rescore(kept, names, distance=distance, cache=cache)
    evaluations.record(ledger, row_of(kept, found, distance=distance))
    return found.source, max((abs(check.exported - check.recorded) for check in found.checks), default=0.0)
