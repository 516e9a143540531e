"""Results folders as data frames."""

import math
from pathlib import Path

import pandas as pd
import pytest
from study_in_memory import Study, merged

import analysis
from trainables.errors import DmlStudyError
from trainables.ledger import Ledger


def small() -> Study:
    study = Study(axes=["dataset", "synthesis.ratio", "embedding_dim"])
    base = study.add("base", [0.5, 0.6, 0.7])
    study.add("base + PS", [0.6, None, 0.8], baseline=base, synthesis__ratio=0.5, embedding_dim=64)
    study.add("failing", [0.1, 0.2, 0.3], status={1: "failed"})
    return study


def test_a_folder_reads_as_the_same_frames_as_in_memory(tmp_path: Path) -> None:
    study = small()
    study.curve(0, [[0.1, 0.2]] * 3)
    study.classes.append({"run_id": "0" * 16, "attempt": "0001_01", "class_index": 3, "class_name": "owl", "images": 7})
    loaded, memory = analysis.load(study.write(tmp_path / "results")), study.results()
    for name in ("runs", "epochs", "classes", "replicates"):
        left, right = (getattr(each, name).drop(columns="schema_version", errors="ignore") for each in (loaded, memory))
        keys = [key for key in ("run_id", "cell", "seed", "epoch", "class_index") if key in left.columns]
        sort = {"by": keys, "ignore_index": True}
        pd.testing.assert_frame_equal(left.sort_values(**sort), right.sort_values(**sort))


def test_runs_have_a_column_for_every_scalar_of_the_configuration_and_every_extra_metric() -> None:
    study = Study()
    study.add("a", {"test_map_at_r": [0.5], "test_recall_at_2": [0.75]})
    study.add("b", {"test_map_at_r": [0.5]})
    runs = study.results().runs.set_index("method")
    assert runs.loc["a", "synthesis.name"] == "none"
    assert runs.loc["a", "loss.scale"] == 23.0
    assert runs.loc["a", "training.epochs"] == 20
    assert runs.loc["a", "test_recall_at_2"] == 0.75
    assert math.isnan(runs.loc["b", "test_recall_at_2"])
    assert list(runs.columns).count("seed") == 1
    assert "extra" not in runs.columns


def test_method_of_a_run_is_the_first_of_the_plan_and_null_once_it_left_the_plan() -> None:
    study = Study()
    study.add("first", [0.5], run_ids=["a" * 16])
    study.add("second", [0.5], run_ids=["a" * 16])
    study.add("gone", [0.5], run_ids=["b" * 16])
    study.cells.pop()
    runs = study.results().runs.set_index("run_id")
    assert runs.loc["a" * 16, "method"] == "first"
    assert pd.isna(runs.loc["b" * 16, "method"])


def test_replicates_list_every_planned_run_and_missing_ones_have_no_metrics() -> None:
    replicates = small().results().replicates
    assert list(replicates["status"]) == [*["complete"] * 4, "missing", "complete", "complete", "failed", "complete"]
    missing = replicates[replicates["status"] == "missing"].iloc[0]
    assert (missing["method"], missing["cell"], missing["seed"]) == ("base + PS", 1, 1)
    assert math.isnan(missing["test_map_at_r"])
    assert replicates[replicates["status"] == "failed"]["test_map_at_r"].isna().all()


def test_whole_numbers_stay_whole_beside_methods_without_the_parameter() -> None:
    replicates = small().results().replicates
    assert [value for value in replicates["embedding_dim"] if value is not None] == [64, 64, 64]
    assert isinstance(replicates["embedding_dim"].iloc[3], int)


def test_a_parameter_whose_values_are_lists_or_mappings_can_be_compared() -> None:
    study = Study(axes=["augmentation.crop_scale", "loss"])
    study.add("a", [0.5, 0.6], augmentation__crop_scale=[0.5, 1.0], loss={"name": "norm_softmax", "scale": 3})
    table = analysis.render(analysis.comparison_table(study.results(), metrics=["map_at_r"]), "csv")
    assert table.splitlines()[1].startswith('a,"[0.5, 1.0]","{""name"": ""norm_softmax"", ""scale"": 3}",55,')


def test_dataset_is_named_by_the_runs_where_the_study_does_not_compare_it() -> None:
    study = small()
    for cell in study.cells:
        del cell["axes"]["dataset"]
    assert set(study.results().replicates["dataset"]) == {"glyphs"}


def test_epochs_and_classes_are_not_read_when_runs_are_enough() -> None:
    results = small().results()
    analysis.render(analysis.comparison_table(results), "markdown")
    assert results.runs is not None
    assert results.sources[0].ledger.reads == ["runs"]  # type: ignore[attr-defined]


def test_several_studies_keep_their_runs_apart() -> None:
    one, two = Study(name="one"), Study(name="two")
    one.add("a", [0.5, 0.6], run_ids=["a" * 16, "b" * 16])
    two.add("a", [0.5, 0.6], run_ids=["a" * 16, "b" * 16])
    results = merged(one, two)
    assert list(results.runs["study"]) == ["one", "one", "two", "two"]
    assert len(results.replicates) == 4
    assert set(results.plans) == {"one", "two"}
    with pytest.raises(DmlStudyError, match="2 studies are loaded"):
        _ = results.plan


def test_studies_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    paths = [small().write(tmp_path / name) for name in ("x", "y")]
    assert list(analysis.load(paths).plans) == [f"made-up ({path})" for path in paths]
    with pytest.raises(DmlStudyError, match="twice"):
        analysis.load([paths[0], paths[0]])


def test_errors_name_the_folder_and_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(DmlStudyError, match="nowhere"):
        analysis.load(tmp_path / "nowhere")
    other = tmp_path / "other"
    other.mkdir()
    (other / "file.txt").write_text("x")
    with pytest.raises(DmlStudyError, match="other"):
        analysis.load(other)
    ledger = Ledger.open(tmp_path / "new", create=True)
    with pytest.raises(DmlStudyError, match=r"plan\.json"):
        analysis.load(tmp_path / "new")
    ledger.write_plan(small().plan())
    with pytest.raises(DmlStudyError, match="no run is finished yet"):
        analysis.load(tmp_path / "new")
    with pytest.raises(DmlStudyError, match="no results folder"):
        analysis.load([])


def test_a_running_study_can_be_read_at_any_time(tmp_path: Path) -> None:
    study = small()
    later = {key: study.runs.pop(key) for key in list(study.runs)[1:]}
    folder = study.write(tmp_path / "results")
    assert (analysis.load(folder).replicates["status"] == "complete").sum() == 1
    Ledger.open(folder).commit(later.popitem()[1])
    assert len(analysis.load(folder).runs) == 2


def test_failed_runs_alone_still_give_a_table() -> None:
    study = Study()
    study.add("a", [None, None], status={0: "failed", 1: "failed"})
    text = analysis.render(analysis.comparison_table(study.results()), "markdown")
    assert "| a | 0 | – | – | – |" in text
    assert "Failed runs, left out: a (glyphs) 2 of 2." in text
