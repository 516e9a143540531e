"""Bad input: one clear message with the place, the value and the remedy; exit code 2; nothing made, nothing lost."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Call = Callable[..., Any]

SPEC = """study: birds
extends: fast_cpu
methods:
  norm-softmax: {loss: norm_softmax}
  ps: {loss: norm_softmax, synthesis: proxy_synthesis, baseline: norm-softmax}
compare:
  dataset: [glyphs]
  synthesis.ratio: [0.5, 1.0]
settings: {training.epochs: 1}
"""
FOLDER = """study: birds
extends: fast_cpu
datasets:
  birds: {name: image_folder, path: birds, image_size: 8}
methods:
  norm-softmax: {loss: norm_softmax}
compare: {dataset: [birds]}
settings: {training.epochs: 1, training.batch_size: 4}
"""


@pytest.fixture
def refused(dml_study: Call, tmp_path: Path) -> Call:
    """Calls the command, which has to refuse with all these words and to leave the folder as it is."""

    def call(*arguments: str, words: list[str], lines: int = 1) -> str:
        before = _contents(tmp_path)
        outcome = dml_study(*arguments)
        assert outcome.code == 2, outcome
        assert outcome.out == ""
        assert outcome.err.startswith("error: ") and outcome.err.count("error: ") == 1
        assert len(outcome.err.strip().splitlines()) == lines, outcome.err
        assert "Traceback" not in outcome.err
        assert [word for word in words if word not in outcome.err] == [], outcome.err
        assert _contents(tmp_path) == before
        return str(outcome.err)

    return call


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("epochs: 1", "epoch: 1", ["birds.yaml:9: settings", "'epoch'", "did you mean 'epochs'?"]),
        ("compare:", "compares:", ["birds.yaml:6: compares", "unknown key", "did you mean 'compare'?"]),
        ("epochs: 1", "epochs: many", ["birds.yaml:9: settings.training.epochs", '"many"', "whole number"]),
        ("epochs: 1", "epochs: 0", ["birds.yaml:9: settings.training.epochs", "0", "greater than or equal to 1"]),
        ("ps: {loss: norm_softmax", "ps: {loss: norm_sofmax", ["birds.yaml:5", "did you mean 'norm_softmax'?"]),
        (
            "ratio: [0.5",
            "ratio: [-0.5",
            ["birds.yaml:8: compare.synthesis.ratio", "-0.5", "greater than or equal to 0"],
        ),
        ("ratio: [0.5", "mixup_alpha: [0", ["birds.yaml:8: compare.synthesis.mixup_alpha", "0", "greater than 0"]),
        ("ratio: [0.5", "mixup_alpha: [-1", ["birds.yaml:8: compare.synthesis.mixup_alpha", "-1", "greater than 0"]),
        ("baseline: norm-softmax", "baseline: norm-sofmax", ["birds.yaml:5", "did you mean 'norm-softmax'?"]),
        ("extends: fast_cpu", "extends: fast_cup", ["birds.yaml:2: extends", "did you mean 'fast_cpu'?"]),
        ("[glyphs]", "[glyph]", ["birds.yaml:7: compare.dataset", "'glyph'", "did you mean 'glyphs'?"]),
        ("study: birds", "study: [", ["birds.yaml", "is not valid YAML"]),
    ],
)
@pytest.mark.parametrize("command", ["plan", "run"])
def test_a_wrong_spec(
    command: str, old: str, new: str, words: list[str], refused: Call, write_spec: Call, tmp_path: Path
) -> None:
    assert SPEC.count(old) == 1
    write_spec(SPEC.replace(old, new), "birds.yaml")
    refused(command, "birds.yaml", words=words)


def test_every_problem_is_told_at_once(refused: Call, write_spec: Call) -> None:
    write_spec(SPEC.replace("epochs: 1", "epoch: 1").replace("[0.5", "[-0.5"), "birds.yaml")
    message = refused("plan", "birds.yaml", words=["2 problems in the spec:"], lines=3)
    assert message.index("birds.yaml:8") < message.index("birds.yaml:9")


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("training.epochs", ["--set: training.epochs", "key=value", "training.epochs=3"]),
        ("trainig.epochs=3", ["--set: trainig.epochs", "did you mean 'training'?"]),
        ("training.epochs=[", ["--set: training.epochs=[", "not valid YAML"]),
        ("training.epochs=many", ["--set", "training.epochs", '"many"']),
        ("synthesis.ratio=-1", ["--set", "synthesis.ratio", "-1"]),
    ],
)
def test_a_wrong_override(override: str, words: list[str], refused: Call, write_spec: Call) -> None:
    write_spec(SPEC.replace("  synthesis.ratio: [0.5, 1.0]\n", ""), "birds.yaml")
    refused("run", "birds.yaml", "--set", override, words=words)


def test_a_spec_that_is_not_there(refused: Call, write_spec: Call) -> None:
    refused("run", "nothing.yaml", words=["nothing.yaml", "no such file", "dml-study init nothing.yaml"])
    refused("plan", "demmo", words=["demmo", "did you mean 'demo'?"])
    write_spec(SPEC, "birds.yaml")
    refused("plan", "birds", words=["did you mean 'birds.yaml'?"])


def test_a_spec_that_is_no_text(refused: Call, tmp_path: Path) -> None:
    (tmp_path / "image.yaml").write_bytes(b"\x89PNG\xff\xfe")
    refused("plan", "image.yaml", words=["image.yaml", "not UTF-8"])
    (tmp_path / "list.yaml").write_text("- 1\n- 2\n")
    refused("plan", "list.yaml", words=["list.yaml", "should be a mapping", "a list"])
    (tmp_path / "empty.yaml").write_text("")
    refused("plan", "empty.yaml", words=["empty.yaml", "is empty", "dml-study init"])


def test_an_empty_class(refused: Call, write_spec: Call, write_images: Call, tmp_path: Path) -> None:
    write_spec(FOLDER, "birds.yaml")
    write_images(train=["a", "b"], test=["c", "d"])
    (tmp_path / "birds" / "train" / "nobody").mkdir()
    refused("run", "birds.yaml", words=["birds.yaml:4: datasets.birds", "'train/nobody'", "remove empty class folders"])


def test_a_class_in_both_splits(refused: Call, write_spec: Call, write_images: Call) -> None:
    write_spec(FOLDER, "birds.yaml")
    write_images(train=["a", "b", "both"], test=["both", "d"])
    refused("run", "birds.yaml", words=["birds.yaml:4: datasets.birds", "in both splits: 'both'", "into one split"])


def test_a_missing_test_split(refused: Call, write_spec: Call, write_images: Call) -> None:
    write_spec(FOLDER, "birds.yaml")
    write_images(train=["a", "b"])
    refused("run", "birds.yaml", words=["birds.yaml:4: datasets.birds", "no folder 'test'", "<split>/<class>/<image>"])


def test_a_missing_data_set(refused: Call, write_spec: Call, write_images: Call) -> None:
    write_spec(FOLDER.replace("path: birds", "path: brids"), "birds.yaml")
    write_images(train=["a", "b"], test=["c", "d"])
    words = ["birds.yaml:4: datasets.birds", "'brids' does not exist", "did you mean 'birds'?", "DML_STUDY_DATA"]
    refused("run", "birds.yaml", words=words)


def test_missing_weights(refused: Call, write_spec: Call) -> None:
    backbone = "settings: {backbone: {name: mobilenet_v2, weights: nowhere.pth}, training.epochs: 1}"
    write_spec(SPEC.replace("settings: {training.epochs: 1}", backbone), "birds.yaml")
    refused("run", "birds.yaml", words=["birds.yaml:9: settings.backbone", "'nowhere.pth'", "random weights"])


def test_a_cache_that_cannot_be_written(refused: Call, write_spec: Call, write_images: Call, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    write_spec(FOLDER, "birds.yaml")
    write_images(train=["a", "b"], test=["c", "d"])
    refused("plan", "birds.yaml", "--cache", "file", words=["file/hashes cannot be written", "DML_STUDY_CACHE"])
    (tmp_path / "weights.pth").write_bytes(b"weights")
    backbone = "settings: {backbone: {name: mobilenet_v2, weights: weights.pth}, training.epochs: 1}"
    write_spec(SPEC.replace("settings: {training.epochs: 1}", backbone), "heads.yaml")
    refused("plan", "heads.yaml", "--cache", "file", words=["file cannot be written", "DML_STUDY_CACHE"])


def test_an_unreadable_image(refused: Call, write_spec: Call, write_images: Call, tmp_path: Path) -> None:
    write_spec(FOLDER, "birds.yaml")
    write_images(train=["a", "b", "c", "d"], test=["e", "f"])
    (tmp_path / "birds" / "train" / "b" / "1.png").write_bytes(b"not an image")
    refused("check", "birds.yaml", words=["decoding birds: 1 of 18", "'train/b/1.png' (Unidentified", "Replace"])


def test_results_of_another_schema_version(refused: Call, trained: Path) -> None:
    (trained / "schema.json").write_text(json.dumps({"schema_version": 99, "kind": "dml-study results"}))
    words = [str(trained), "schema version 99", "choose another results folder"]
    for command in (["run", "tiny.yaml"], ["plan", "tiny.yaml"], ["status", "tiny"], ["table", "tiny"], ["show", "0"]):
        refused(*command, words=words)


def test_a_folder_that_is_no_results_folder(refused: Call, write_spec: Call, tmp_path: Path) -> None:
    write_spec()
    (tmp_path / "results" / "tiny").mkdir(parents=True)
    (tmp_path / "results" / "tiny" / "thesis.txt").write_text("years of work")
    refused(
        "run", "tiny.yaml", words=["results/tiny is not a results folder", "thesis.txt", "choose an empty or a new"]
    )
    for command in ("status", "table"):
        refused(command, "results/tiny", words=["results/tiny is not a results folder", "schema.json"])


def test_a_filter_that_fits_nothing(refused: Call, write_spec: Call) -> None:
    write_spec()
    refused("run", "tiny.yaml", "--only", "synthesis.ratio=7", words=["--only synthesis.ratio=7", "fits no cell"])
    refused("run", "tiny.yaml", "--only", "ratio=0.5", words=["'ratio=0.5'", "did you mean"])
    refused("run", "tiny.yaml", "--only", "method", words=["'method'", "key=value"])


def test_an_ambiguous_cell(refused: Call, write_spec: Call) -> None:
    write_spec()
    words = ["'PS' fits several cells", "synthesis.ratio=0.5", "synthesis.ratio=1.0"]
    refused("plan", "tiny.yaml", "--explain", "PS", words=words, lines=3)
    refused("plan", "tiny.yaml", "--explain", "99", words=["'99' fits no cell"], lines=5)


def test_a_run_that_nobody_knows(refused: Call, trained: Path) -> None:
    for command in ("show", "logs", "debug"):
        refused(command, "zzz", words=["no run begins with 'zzz'", "results/tiny", "dml-study plan"])
        refused(command, "", words=["several runs begin with ''", "and 3 more", "give more digits"])
    refused("debug", "zzz", "--spec", "tiny.yaml", words=["no run of tiny.yaml begins with 'zzz'", "dml-study plan"])


def test_a_run_without_any_study(refused: Call) -> None:
    refused("show", "0", words=["no run begins with '0'", "there is no study yet"])
    refused("status", words=["no study in results/", "dml-study run"])
    refused("status", "nothing", words=["nothing: no results folder", "no spec"])
    refused("status", "demo", words=["no results in results/demo", "dml-study run demo"])
    refused("status", "-r", "nowhere", words=["no results folder", "nowhere", "dml-study run"])


def test_a_study_without_a_finished_run(refused: Call, write_spec: Call, trained: Path) -> None:
    for file in (trained / "runs").iterdir():
        file.unlink()
    refused("table", "tiny", words=["no run is finished yet", "dml-study run"])
    refused("plot", "tiny", words=["no run is finished yet", "dml-study run"])


def test_what_a_search_cannot_do_is_refused(refused: Call, write_spec: Call) -> None:
    tuned = "baseline: norm-softmax, tune: {synthesis.mixup_alpha: [0.2, 0.4]}}"
    stages = "stages: {tune: {trials: 4, prune_replicates: {}}}\n"
    write_spec(SPEC.replace("baseline: norm-softmax}", tuned) + stages, "birds.yaml")
    for command in ("run", "plan", "check"):
        words = [
            "birds.yaml:10: stages.tune.prune_replicates",
            "never save a replicate",
            "a setting has 1",
            "at least 5",
        ]
        refused(command, "birds.yaml", words=words)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["table", "tiny", "--format", "latx"], ["--format", "latx", "did you mean 'latex'?"]),
        (["table", "tiny", "--group", "metrc"], ["--group", "metrc", "did you mean 'metric'?"]),
        (["plot", "tiny", "--kind", "heatmp"], ["--kind", "heatmp", "did you mean 'heatmap'?"]),
        (["plot", "tiny", "--show", "diference"], ["--show", "did you mean 'difference'?"]),
        (["run", "tiny.yaml", "--policy", "allways"], ["--policy", "did you mean 'always'?"]),
        (["plan", "tiny.yaml", "--limit", "few"], ["--limit", "integer"]),
        (["plna", "tiny.yaml"], ["plna", "Did you mean 'plan'?"]),
        (["plan"], ["Missing argument 'SPEC'"]),
        (["plan", "tiny.yaml", "--explian", "0"], ["--explian", "--explain"]),
    ],
)
def test_a_wrong_option(arguments: list[str], words: list[str], dml_study: Call, trained: Path) -> None:
    outcome = dml_study(*arguments)
    assert outcome.code == 2 and outcome.out == "" and "Traceback" not in outcome.err
    text = " ".join(outcome.err.replace("│", " ").split())
    assert [word for word in words if word not in text] == [], outcome.err


def test_metrics_and_axes_that_no_run_has(refused: Call, trained: Path) -> None:
    refused("table", "tiny", "-m", "map_at_s", words=["metric 'map_at_s'", "did you mean 'map_at_r'?"])
    refused("table", "tiny", "--best", "map_at_r", words=["best='map_at_r'", "val_map_at_r"])
    axes = ["--kind", "heatmap", "--x", "synthesis.ratoi", "--y", "method"]
    refused("plot", "tiny", *axes, words=["'synthesis.ratoi'", "synthesis.ratio"], lines=2)


def test_files_that_cannot_be_written(refused: Call, trained: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for arguments in (
        ["init", "file/study.yaml"],
        ["schema", "file/schema.json"],
        ["table", "tiny", "-o", "file/t.md"],
    ):
        refused(*arguments, words=[f"{arguments[-1]} cannot be written", "choose another place"])
    refused("plot", "tiny", "-o", "file/plots", words=["file/plots", "cannot be written"])
    refused("table", "tiny", "-o", "table.pdf", words=["--output table.pdf", ".md, .tex, .csv", "--format"])
    refused("plot", "tiny", "-o", "plots.pdf", words=["--output plots.pdf", "--kind heatmap"])
    refused("init", "results", words=["results is a folder", "results/study.yaml"])
    refused("init", "tiny.yaml", words=["tiny.yaml exists", "--force"])


def test_a_plugin_that_fails(refused: Call, write_spec: Call, tmp_path: Path) -> None:
    write_spec()
    refused("plan", "tiny.yaml", "--plugin", "mine.py", words=["--plugin", "mine.py", "no such file"])
    (tmp_path / "broken_plugin.py").write_text("import nothing_of_this_name")
    refused("plan", "tiny.yaml", "--plugin", "broken_plugin.py", words=["broken_plugin.py", "nothing_of_this_name"])
