"""Run ids of a plan, and everything else that a plan says about itself."""

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from study.plan import Plan, build_plan
from study.plan.untrained import SECTIONS
from study.spec import SpecError, load_spec
from trainables.backbones.config import BackboneConfig
from trainables.config import RunConfig
from trainables.datasets.config import DatasetConfig
from trainables.errors import DataError
from trainables.strategies.config import StrategyConfig, Untrained

MakePlan = Callable[..., Plan]

SPEC = """\
study: s
extends: fast_cpu
methods:
  a: {loss: norm_softmax}
  b: {loss: proxy_anchor, synthesis: proxy_synthesis, baseline: a}
  c: {protocol.selection: last}
  d: {backbone: {name: resnet18, trainable: false, weights: w.pth}}
compare: {synthesis.ratio: [0, 0.5, 1.5], optimizer.lr: [1e-3, 1]}
replicates: {seeds: [3, 0, 12], folds: [1, 0]}
claims: [b > a on recall_at_1]
"""


def test_ids_are_those_of_the_runs(make_plan: MakePlan) -> None:
    plan = make_plan(SPEC)
    assert len(plan.runs) > 50
    for run_id, run in plan.runs.items():
        assert run_id == run.run_id == run.config.run_id()
        assert run.config.seed == run.seed
    for cell in plan.cells:
        for replicate in cell.replicates:
            written = cell.config.model_dump() | {"seed": replicate.seed, "fold": replicate.fold}
            assert RunConfig.model_validate(written).run_id() == replicate.run_id


def test_a_run_without_validation_has_no_folds(make_plan: MakePlan) -> None:
    plan = make_plan(SPEC)
    cell = next(cell for cell in plan.cells if cell.method == "c")
    assert [replicate.seed for replicate in cell.replicates] == [3, 0, 12]


def test_ids_depend_on_nothing_but_the_numbers(make_plan: MakePlan) -> None:
    plan = make_plan(SPEC)
    other = make_plan(
        SPEC.replace("study: s", "study: other")
        .replace("  a:", "  z:")
        .replace("baseline: a", "baseline: z")
        .replace("claims: [b > a on recall_at_1]", "resources: {cpu: 4}\nkeep: {weights: selected}")
    )
    assert list(other.runs) == list(plan.runs)
    assert not set(make_plan(SPEC, "training.epochs=3").runs) & {
        run_id for run_id, run in plan.runs.items() if run.config.strategy.trains
    }


def test_a_new_axis_value_leaves_the_other_runs_as_they_are(make_plan: MakePlan) -> None:
    before, after = make_plan(SPEC), make_plan(SPEC.replace("[0, 0.5, 1.5]", "[0, 0.5, 0.7, 1.5]"))
    assert set(before.runs) < set(after.runs)
    assert len(after.runs) - len(before.runs) == 2 * 6  # two learning rates, three seeds on two folds


def test_the_untrained_row_depends_on_the_sections_that_it_takes_over(make_plan: MakePlan) -> None:
    (cell,) = make_plan("study: s\nmethods: {a: {}}\nuntrained: false\n").cells
    base = cell.config.model_copy(update={"strategy": Untrained()})
    others = {
        "loss": "proxy_nca",
        "synthesis": "proxy_synthesis",
        "sampler": "balanced",
        "optimizer": "sgd",
        "schedule": "cosine",
        "embedding_dim": 3,
        "augmentation": {"flip": True},
        "training_set": {"label_noise": 0.2, "class_fraction": 0.5},
        "head": {"bias": False, "init": "orthogonal"},
    }
    assert set(RunConfig.model_fields) == {*SECTIONS, *others, "strategy", "seed", "fold", "stage", "device"}
    for section, value in others.items():
        changed = RunConfig.model_validate(base.model_dump() | {section: value})
        assert changed.run_id() == base.run_id(), f"{section} changes the untrained run: add it to SECTIONS"


def test_the_record_says_what_analysis_needs(make_plan: MakePlan) -> None:
    plan = make_plan(SPEC)
    record = json.loads(json.dumps(plan.record()))
    assert record["schema_version"] == 1
    assert (record["study"], record["spec"]) == ("s", "spec.yaml")
    assert datetime.fromisoformat(record["created_at"]).tzinfo is not None
    assert record["axes"] == ["dataset", "synthesis.ratio", "optimizer.lr"]
    assert record["methods"][:3] == [
        {"name": "untrained", "baseline": None},
        {"name": "a", "baseline": None},
        {"name": "b", "baseline": "a"},
    ]
    assert record["claims"] == [{"better": "b", "worse": "a", "metric": "recall_at_1"}]
    assert record["protocol"]["validation_folds"] == 4
    cell = next(cell for cell in record["cells"] if cell["axes"].get("synthesis.ratio") == 0.5)
    assert cell["method"] == "b"
    assert cell["axes"] == {"dataset": "glyphs", "synthesis.ratio": 0.5, "optimizer.lr": 0.001}
    assert record["cells"][cell["baseline"]]["axes"] == {"dataset": "glyphs", "optimizer.lr": 0.001}
    assert [(each["seed"], each["fold"]) for each in cell["replicates"]] == [
        (3, 1),
        (3, 0),
        (0, 1),
        (0, 0),
        (12, 1),
        (12, 0),
    ]
    assert {each["run_id"] for row in record["cells"] for each in row["replicates"]} == set(plan.runs)


class Files:
    """Stands for the disk: one data set is there, another is not."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def dataset(self, config: DatasetConfig) -> DatasetConfig:
        self.asked.append(config.title)
        if config.title == "absent":
            raise DataError("absent.zip is in none of the data folders")
        return config.model_copy(update={"revision": f"revision of {config.title}"})

    def strategy(self, config: StrategyConfig) -> StrategyConfig:
        return config

    def backbone(self, config: BackboneConfig) -> BackboneConfig:
        self.asked.append(config.name)
        return config


def test_data_is_looked_up_once_and_its_revision_counts(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(
        "study: s\nmethods: {a: {}, b: {loss: proxy_nca, backbone: conv4}}\n"
        "compare: {dataset: [glyphs, small], embedding_dim: [1, 2, 3]}\n"
        "datasets:\n  small: {name: glyphs, classes: 8}\n  absent: {name: image_folder, path: absent.zip}\n"
        "replicates: {seeds: 4}\n"
    )
    files = Files()
    plan = build_plan(load_spec(path), resolver=files)
    assert sorted(files.asked) == ["conv4", "glyphs", "small"]
    assert {run.config.dataset.revision for run in plan.runs.values()} == {"revision of glyphs", "revision of small"}
    assert all(run.config.run_id() == run_id for run_id, run in plan.runs.items())
    spec = load_spec(path, overrides=["compare.dataset=[small, absent]"])
    with pytest.raises(SpecError) as caught:
        build_plan(spec, resolver=Files())
    (problem,) = caught.value.problems
    assert (problem.place.line, problem.key) == (6, "datasets.absent.path")
    assert problem.message == "absent.zip is in none of the data folders"


def test_the_embedded_dataset_has_a_revision_and_absent_files_are_named(
    tmp_path: Path, private_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DML_STUDY_DATA", raising=False)
    path = tmp_path / "spec.yaml"
    path.write_text("study: s\nmethods: {a: {}}\nreplicates: {seeds: 2}\n")
    plan = build_plan(load_spec(path), cache=private_cache)
    assert plan.resolved
    assert all(len(run.config.dataset.revision) >= 16 for run in plan.runs.values())
    path.write_text(
        "study: s\nmethods: {a: {}}\nsettings:\n  dataset: {name: image_folder, path: absent.zip}\n"
        "  backbone: {name: resnet18, weights: absent.pth}\n"
    )
    with pytest.raises(SpecError) as caught:
        build_plan(load_spec(path), cache=private_cache)
    found = [(problem.place.line, problem.key) for problem in caught.value.problems]
    assert found == [(4, "settings.dataset.path"), (5, "settings.backbone.weights")]


def test_planning_loads_nothing_heavy(tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text(SPEC)
    (tmp_path / "whole.yaml").write_text("study: s\nmethods: {a: {}}\n")
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from study.spec import load_spec, json_schema\n"
        "from study.plan import build_plan, explain, due_runs\n"
        "plan = build_plan(load_spec('spec.yaml'), resolve_data=False)\n"
        "plan.record(); explain(plan, '3'); due_runs(plan, {}); json_schema()\n"
        "build_plan(load_spec('whole.yaml'), cache=Path('cache'))\n"
        "next(iter(plan.runs.values())).config.run_id()\n"
        "print(*sorted({'torch', 'ray', 'pandas', 'pyarrow', 'numpy', 'jsonschema'} & set(sys.modules)))\n"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == ""


@pytest.mark.parametrize(("ratios", "alphas", "seeds"), [(100, 50, 1), (25, 20, 10)])
def test_ten_thousand_runs_are_planned_cell_by_cell(
    make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch, ratios: int, alphas: int, seeds: int
) -> None:
    """Work grows with distinct cells, sections and folds, never with runs."""
    identities, validations = 0, 0
    identity, validate = RunConfig.identity, RunConfig.model_validate

    def counted_identity(self: RunConfig, **arguments: object) -> dict[str, object]:
        nonlocal identities
        identities += 1
        return identity(self, **arguments)  # type: ignore[arg-type]

    def counted_validate(*arguments: object, **keywords: object) -> RunConfig:
        nonlocal validations
        validations += 1
        return validate(*arguments, **keywords)  # type: ignore[arg-type]

    monkeypatch.setattr(RunConfig, "identity", counted_identity)
    monkeypatch.setattr(RunConfig, "model_validate", counted_validate)
    numbers = [[(index + 1) / 100 for index in range(count)] for count in (ratios, alphas)]
    plan = make_plan(
        "study: s\nmethods:\n  a: {}\n  b: {synthesis: proxy_synthesis, baseline: a}\n"
        "  c: {loss: proxy_anchor, synthesis: proxy_synthesis, baseline: a}\n"
        f"compare: {{synthesis.ratio: {numbers[0]}, synthesis.mixup_alpha: {numbers[1]}}}\n"
        f"replicates: {{seeds: {seeds}}}\n"
    )
    assert len(plan.runs) == (2 * ratios * alphas + 2) * seeds > 10_000
    assert identities == len(plan.cells)
    assert validations <= len(plan.cells)
