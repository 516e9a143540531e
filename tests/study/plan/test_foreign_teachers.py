"""Teachers that are no run of the same study: a finished run of another results folder, or a file of weights."""

from pathlib import Path

import pytest

from study.plan import Plan, build_plan
from study.spec import load_spec
from study.spec.errors import SpecError
from trainables.ledger import Ledger
from trainables.ledger.names import weights_key
from trainables.training.session import Session, SessionOptions

SPEC = """\
study: students
methods: {{student: {{strategy: {{name: transfer, teacher: {teacher}}}, embedding_dim: 8}}}}
untrained: false
settings:
  dataset: {{name: glyphs, classes: 16, images_per_class: 6, image_size: 16}}
  backbone: {{name: conv4, width: 8}}
  training: {{epochs: 1, batch_size: 16}}
"""
TEACHER = SPEC.format(teacher="").replace("strategy: {name: transfer, teacher: }, ", "").replace("student", "teacher")


@pytest.fixture
def planned(tmp_path: Path, private_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with `results/teachers`, in which one run kept its weights."""
    monkeypatch.chdir(tmp_path)
    ledger = Ledger.open(tmp_path / "results" / "teachers", create=True)
    (run,) = plan(TEACHER + "keep: {weights: selected}\n", private_cache).runs.values()
    train(run.config, ledger, private_cache)
    return tmp_path


def plan(text: str, cache: Path) -> Plan:
    Path("spec.yaml").write_text(text)
    return build_plan(load_spec("spec.yaml"), cache=cache)


def train(config: object, ledger: Ledger, cache: Path) -> str:
    session = Session(config, ledger=ledger, options=SessionOptions(study="s", cache=cache))  # type: ignore[arg-type]
    while not session.done:
        session.step()
    return session.status


def teacher_id() -> str:
    (run_id,) = Ledger.open("results/teachers").commits()
    return run_id


def test_a_run_of_another_results_folder_teaches(planned: Path, private_cache: Path) -> None:
    run_id = teacher_id()
    given = f"{{run: {run_id}, results: results/teachers}}"
    (student,) = plan(SPEC.format(teacher=given), private_cache).runs.values()
    assert student.sources == ()  # nothing in this study to wait for
    parent = student.config.strategy.parent
    assert parent is not None
    assert (parent.run, parent.results) == (run_id, str(planned / "results" / "teachers"))
    assert (
        train(student.config, Ledger.open(planned / "results" / "students", create=True), private_cache) == "complete"
    )


def test_a_file_of_weights_teaches_and_its_content_names_the_run(planned: Path, private_cache: Path) -> None:
    kept, copy = planned / "results" / "teachers" / weights_key(teacher_id()), planned / "teacher.pt"
    copy.write_bytes(kept.read_bytes())
    (student,) = plan(SPEC.format(teacher="{weights: teacher.pt}"), private_cache).runs.values()
    (moved,) = plan(SPEC.format(teacher=f"{{weights: {kept}}}"), private_cache).runs.values()
    assert student.run_id == moved.run_id
    assert (
        train(student.config, Ledger.open(planned / "results" / "students", create=True), private_cache) == "complete"
    )
    copy.write_bytes(kept.read_bytes() + b" ")
    (other,) = plan(SPEC.format(teacher="{weights: teacher.pt}"), private_cache).runs.values()
    assert other.run_id != student.run_id


def test_what_is_not_there_is_refused_when_the_study_is_planned(planned: Path, private_cache: Path) -> None:
    run_id, artifact = teacher_id(), planned / "results" / "teachers" / weights_key(teacher_id())
    for given, message in [
        ("{weights: absent.pt}", "no file 'absent.pt'; give the weights.pt that a run kept"),
        (f"{{run: {run_id}, results: results/absent}}", "'results/absent' is no results folder"),
        ("{run: 0123456789abcdef, results: results/teachers}", "has no complete run 0123456789abcdef"),
        ("{weights: spec.yaml, weights_revision: abcd}", "weights_revision is abcd: put the old file back"),
    ]:
        with pytest.raises(SpecError, match=message):
            plan(SPEC.format(teacher=given), private_cache)
    artifact.unlink()
    with pytest.raises(SpecError, match=f"kept no weights of run {run_id}; train it again"):
        plan(SPEC.format(teacher=f"{{run: {run_id}, results: results/teachers}}"), private_cache)
