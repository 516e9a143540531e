"""`evaluate` on a study that was really trained: what it stores, what tables show, what it leaves alone."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import analysis
import study.evaluation
from study.evaluation import evaluate
from trainables.config import RunConfig
from trainables.errors import ConfigError
from trainables.evaluation import retrieval_metrics, score
from trainables.ledger import Ledger, evaluations
from trainables.ledger.lease import Lease
from trainables.ledger.names import embeddings_key, weights_key
from trainables.training import checkpoint
from trainables.training.data import load_run_data

Call = Callable[..., Any]
SPEC = """
study: kept
extends: fast_cpu
datasets:
  shapes: {name: glyphs, classes: 24, images_per_class: 6, image_size: 16}
methods:
  norm-softmax: {loss: norm_softmax}
  norm-softmax + PS: {loss: norm_softmax, synthesis: proxy_synthesis, baseline: norm-softmax}
compare: {dataset: [shapes]}
replicates: {seeds: 2}
settings: {backbone: {name: conv4, width: 4}, embedding_dim: 8, training.epochs: 1, training.batch_size: 16}
keep: {weights: selected, embeddings: test}
"""


@pytest.fixture(scope="module")
def once(train_spec: Call) -> Path:
    folder: Path = train_spec("kept", SPEC)
    return folder / "results" / "kept"


@pytest.fixture
def ledger(once: Path, tmp_path: Path) -> Ledger:
    shutil.copytree(once, tmp_path / "results" / "kept")
    return Ledger.open(tmp_path / "results" / "kept")


def trained_runs(ledger: Ledger) -> list[dict[str, Any]]:
    rows = ledger.read("runs").to_pylist()
    return sorted((row for row in rows if row["strategy"] == "plain"), key=lambda row: row["run_id"])


def test_tables_show_the_new_metric_of_every_run(ledger: Ledger, dml_study: Call, private_cache: Path) -> None:
    commits = {key: ledger.get(key) for key in ledger.list("runs/")}
    assert "is in none of the results" in dml_study("table", "kept", "-m", "recall_at_16").err
    first, second, _, _ = trained_runs(ledger)
    ledger.delete(embeddings_key(first["run_id"]))  # its weights remain
    untrained = next(row["run_id"] for row in ledger.read("runs").to_pylist() if row["strategy"] == "untrained")
    ledger.delete(embeddings_key(untrained))
    with Lease(ledger):  # beside a driver
        done = dml_study("evaluate", "kept", "--k", "3,16", "-m", "map", "-m", "nmi")
    assert done.code == 0 and "warning" not in done.err
    assert done.out.startswith("evaluated 6 runs (4 from the embeddings that the run kept, 1 from ")
    assert "1 from the weights that the run kept" in done.out and "1 from strategy 'untrained'" in done.out
    table = dml_study("table", "kept", "-m", "recall_at_16", "-m", "map", "-m", "nmi")
    assert table.code == 0 and all(name in table.out for name in ("Recall@16 (%)", "MAP (%)", "NMI (%)"))
    assert "–" not in table.out.partition("Values:")[0]
    assert {key: ledger.get(key) for key in ledger.list("runs/")} == commits

    content, _ = checkpoint.from_bytes(ledger.get(embeddings_key(second["run_id"])))
    config = RunConfig.model_validate_json(second["config"])
    labels = torch.from_numpy(load_run_data(config, cache=private_cache).split.test_labels)
    expected = retrieval_metrics(content["embeddings"], labels, ks=(3, 16))
    runs = analysis.load(ledger.location).runs.set_index("run_id")
    found = runs.loc[second["run_id"]]
    assert [found[f"test_recall_at_{k}"] for k in (3, 16)] == [expected[f"recall_at_{k}"] for k in (3, 16)]
    assert found["test_map"] == score(content["embeddings"], labels, metrics=["map"])["map"]
    assert found["test_map_at_r"] == second["test_map_at_r"] == expected["map_at_r"]


def test_a_second_evaluation_computes_only_what_is_missing(
    ledger: Ledger, private_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record, left = evaluations.record, [2]

    def killed_after_two(store: Any, row: Any) -> None:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        record(store, row)

    monkeypatch.setattr(study.evaluation.evaluations, "record", killed_after_two)
    with pytest.raises(KeyboardInterrupt):
        evaluate(ledger, ["map"], cache=private_cache)
    monkeypatch.setattr(study.evaluation.evaluations, "record", record)
    before = evaluations.known(ledger)
    assert len(before) == 2
    done = evaluate(ledger, ["map", "recall_at_1"], cache=private_cache)
    assert (len(done.done), len(done.present), done.rounding) == (4, 2, 0.0)
    after = evaluations.known(ledger)
    assert len(after) == 6 and all(set(metrics) == {"test_map"} for metrics in after.values())
    assert all(after[attempt] == metrics for attempt, metrics in before.items())
    again = evaluate(ledger, ["map"], cache=private_cache)
    assert (len(again.done), len(again.present)) == (0, 6)


def test_another_distance_has_columns_of_its_own(ledger: Ledger, dml_study: Call) -> None:
    done = dml_study("evaluate", "kept", "-m", "map_at_r", "--distance", "euclidean", "--only", "method=norm-softmax")
    assert done.out.startswith("evaluated 2 runs") and "-m map_at_r_euclidean`" in done.out
    table = dml_study("table", "kept", "-m", "map_at_r_euclidean", "-m", "map_at_r").out
    assert "MAP@R, euclidean" in table
    rows = analysis.load(ledger.location).runs.set_index("run_id")
    evaluated = rows["test_map_at_r_euclidean"].dropna()
    assert len(evaluated) == 2 and (evaluated != rows.loc[evaluated.index, "test_map_at_r"]).all()
    assert dml_study("evaluate", "kept", "-m", "map_at_r").out.startswith("evaluated 0 runs; 6 had these")


def test_runs_that_kept_nothing_and_runs_that_kept_something_else_are_told(ledger: Ledger, dml_study: Call) -> None:
    empty, wrong, *_ = (row["run_id"] for row in trained_runs(ledger))
    for key in (embeddings_key(empty), weights_key(empty)):
        ledger.delete(key)
    content, _ = checkpoint.from_bytes(ledger.get(embeddings_key(wrong)))
    content["embeddings"] = content["embeddings"].flip(0)[torch.randperm(len(content["embeddings"]))]
    ledger.put(embeddings_key(wrong), checkpoint.to_bytes(content, []))
    done = dml_study("evaluate", "kept", "-m", "mrr")
    assert done.code == 1 and done.out.startswith("evaluated 4 runs")
    assert "1 runs kept neither test embeddings nor weights" in done.err and empty[:8] in done.err
    assert "keep: {embeddings: test}" in done.err and "dml-study invalidate results/kept" in done.err
    assert f"run {wrong} has" in done.err and "these are not its embeddings" in done.err
    assert {run_id for run_id, _ in evaluations.known(ledger)}.isdisjoint({empty, wrong})


def test_what_a_run_recorded_is_never_overridden(ledger: Ledger) -> None:
    row = trained_runs(ledger)[0]
    foreign = {"test_map_at_r": 0.123, "test_map": 0.456}
    evaluations.record(ledger, {"run_id": row["run_id"], "attempt": row["attempt"], "extra": foreign})
    evaluations.record(ledger, {"run_id": row["run_id"], "attempt": "0099_01", "extra": {"test_mrr": 0.5}})
    runs = analysis.load(ledger.location).runs.set_index("run_id")
    assert runs.loc[row["run_id"], "test_map_at_r"] == row["test_map_at_r"]
    assert runs["test_map"].dropna().to_dict() == {row["run_id"]: 0.456}
    assert "test_mrr" not in runs or runs["test_mrr"].isna().all()


def test_a_protocol_without_test_classes_is_respected(ledger: Ledger, private_cache: Path) -> None:
    row = trained_runs(ledger)[0]
    config = json.loads(row["config"])
    config["protocol"]["test"] = "never"
    for key in ledger.list(f"runs/{row['run_id']}"):
        ledger.delete(key)
    ledger.commit({**row, "config": json.dumps(config), "extra": dict(row["extra"])})
    done = evaluate(ledger, ["map"], cache=private_cache)
    assert done.unseen == [row["run_id"]] and row["run_id"] not in done.done and len(done.done) == 5


def test_bad_input_is_one_message(ledger: Ledger, dml_study: Call, private_cache: Path) -> None:
    for arguments, message in (
        ((), "name a STUDY, or a file with --embeddings"),
        (("kept",), "which metric?"),
        (("kept", "--k", "16;32"), "'16;32' is no number from 1 on"),
        (("kept", "-m", "mapr"), "did you mean 'map'"),
        (("kept", "-m", "map", "--labels", "x.npy"), "--labels belongs to --embeddings"),
        (("kept", "-m", "map", "--embeddings", "x.npy"), "leave out STUDY"),
        (("kept", "-m", "map", "--only", "metod=a"), "metod"),
    ):
        done = dml_study("evaluate", *arguments)
        assert done.code == 2 and message in done.err and done.err.count("error:") == 1, done.err
    with pytest.raises(ConfigError, match="unknown metric"):
        evaluate(ledger, ["map", "nonsense"], cache=private_cache)
    continuous = dml_study("evaluate", "kept", "-m", "ndcg_at_5")
    assert continuous.code == 1 and "has no continuous labels for ndcg_at_5" in continuous.err
    assert not evaluations.exist(ledger)
