"""Runs that need others: students wait for teachers, joined models for all folds; what is gone is trained again."""

import shutil
from pathlib import Path

import pytest
import torch
from launched import Here, results_of, rows_by_run, spec_text, train_here

from study.launch import Summary
from study.plan import Plan, build_plan
from study.spec import load_spec
from trainables.evaluation import retrieval_metrics
from trainables.ledger import Ledger
from trainables.ledger.names import embeddings_key
from trainables.training import checkpoint


@pytest.fixture
def here(ray_here: None, tmp_path: Path, private_cache: Path) -> Here:
    return Here(tmp_path, private_cache)


STUDENTS = """
  student: {strategy: {name: transfer, teacher: {method: teacher}}, settings: {embedding_dim: 8}, baseline: teacher}
  teacher: {loss: proxy_anchor}
"""


def students(here: Here, *, methods: str = STUDENTS, plugins: tuple[Path, ...] = ()) -> Plan:
    """A study whose students stand before their teachers; two seeds."""
    path = here.folder / "students.yaml"
    path.write_text(spec_text(methods, study="students", seeds=2))
    return build_plan(load_spec(path, plugins=plugins), cache=here.cache)


def test_students_wait_for_their_teachers_and_learn_what_a_plain_loop_learns(here: Here) -> None:
    plan = students(here)
    results = here.folder / "results" / "students"
    assert here.launch(plan) == Summary(planned=6, complete=6, trained=6)
    assert results_of(results) == train_here(here.folder, (here.folder / "students.yaml").read_text(), cache=here.cache)
    teachers = {run.run_id for run in plan.runs.values() if "weights" in run.kept}
    assert {path.parent.name for path in (results / "artifacts").glob("*/weights.pt")} == teachers
    ended = {run_id: row["ended_at"] for run_id, row in rows_by_run(results).items()}
    started = {run_id: row["started_at"] for run_id, row in rows_by_run(results).items()}
    assert all(started[run.run_id] >= ended[source] for run in plan.runs.values() for source in run.sources)


@pytest.mark.slow
def test_a_teacher_whose_weights_are_gone_is_trained_again_for_a_new_student(here: Here) -> None:
    here.launch(students(here))
    results = here.folder / "results" / "students"
    before = results_of(results)
    shutil.rmtree(results / "artifacts")
    assert here.launch(students(here)).trained == 0
    plan = students(here, methods=f"{STUDENTS}  other: {{extends: student, settings: {{embedding_dim: 4}}}}\n")
    assert here.launch(plan) == Summary(planned=8, complete=8, trained=4)
    rows = {row["run_id"]: row for row in results_of(results)["runs"]}
    assert all(rows[row["run_id"]] == row for row in before["runs"])


@pytest.mark.slow
def test_students_of_a_failed_teacher_are_blocked_until_it_is_trained(here: Here) -> None:
    plugin = Path(__file__).with_name("odd_losses.py")
    plan = students(here, methods=STUDENTS.replace("proxy_anchor", "broken"), plugins=(plugin,))
    expected = {"planned": 6, "complete": 2, "failed": 2, "missing": 2, "blocked": 2}
    assert here.launch(plan) == Summary(**expected, trained=4)
    assert here.launch(plan) == Summary(**expected)
    assert here.launch(plan, retry_failed=True) == Summary(**expected, trained=2)


FOLDS = """
  base: {loss: norm_softmax}
  anchor: {loss: proxy_anchor, baseline: base}
"""


def joined(here: Here) -> Plan:
    """Two methods on three folds, each read out as the mean of its models and as one embedding."""
    path = here.folder / "joined.yaml"
    text = spec_text(FOLDS, study="joined").replace("{seeds: 1}", "{seeds: 2, folds: 3}")
    path.write_text(f"{text}protocol: {{readout: [mean_16, concat_48]}}\n")
    return build_plan(load_spec(path), cache=here.cache)


def test_joined_models_wait_for_all_folds_and_are_measured_as_one(here: Here) -> None:
    plan, results = joined(here), here.folder / "results" / "joined"
    assert here.launch(plan) == Summary(planned=18, complete=18, trained=18)  # 2 x (6 + 2), and the untrained networks
    assert results_of(results) == train_here(here.folder, (here.folder / "joined.yaml").read_text(), cache=here.cache)
    rows, ledger = rows_by_run(results), Ledger.open(results)
    labels = torch.arange(12).repeat_interleave(8)  # 24 classes of 8 images, the second half tests
    for run in (run for run in plan.runs.values() if run.sources):
        row = rows[run.run_id]
        assert row["started_at"] >= max(rows[source]["ended_at"] for source in run.sources)
        assert (row["strategy"], row["embedding_dim"], row["loss"]) == ("fold_ensemble", 48, run.base.loss.name)
        models = [checkpoint.from_bytes(ledger.get(embeddings_key(source)))[0]["embeddings"] for source in run.sources]
        together = torch.cat([model / model.norm(dim=1, keepdim=True) for model in models], dim=1)
        assert row["test_map_at_r"] == pytest.approx(retrieval_metrics(together, labels)["map_at_r"], abs=1e-6)
        assert row["val_map_at_r"] == pytest.approx(sum(rows[source]["val_map_at_r"] for source in run.sources) / 3)


@pytest.mark.slow
def test_a_model_whose_embeddings_are_gone_is_trained_again_where_they_are_needed(here: Here) -> None:
    plan, results = joined(here), here.folder / "results" / "joined"
    here.launch(plan)
    before, ledger = results_of(results), Ledger.open(results)
    first = next(run for run in plan.runs.values() if run.sources)
    ledger.delete(embeddings_key(first.sources[1]))
    assert here.launch(plan).trained == 0  # nobody needs them
    ledger.forget(first.run_id)
    assert here.launch(plan).trained == 2
    assert results_of(results) == before
