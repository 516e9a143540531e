"""Cells: methods crossed with the axes that they have, their baselines, and the untrained row."""

from collections.abc import Callable

from study.plan import Plan

MakePlan = Callable[..., Plan]


def axes(plan: Plan, method: str) -> list[dict[str, object]]:
    return [dict(cell.axes) for cell in plan.cells if cell.method == method]


def test_an_axis_multiplies_only_the_methods_that_have_it(make_plan: MakePlan) -> None:
    plan = make_plan(
        "study: s\nmethods:\n  a: {}\n  b: {synthesis: proxy_synthesis, baseline: a}\n"
        "compare: {synthesis.ratio: [0.5, 1], training.epochs: [1, 2]}\n"
    )
    assert plan.axes == ("dataset", "synthesis.ratio", "training.epochs")
    assert axes(plan, "a") == [{"dataset": "glyphs", "training.epochs": epochs} for epochs in (1, 2)]
    assert axes(plan, "b") == [
        {"dataset": "glyphs", "synthesis.ratio": ratio, "training.epochs": epochs}
        for ratio in (0.5, 1)
        for epochs in (1, 2)
    ]
    assert [(cell.config.synthesis.model_dump()["ratio"], cell.config.training.epochs) for cell in plan.cells[-4:]] == [
        (0.5, 1),
        (0.5, 2),
        (1, 1),
        (1, 2),
    ]
    baselines = [plan.cells[cell.baseline or 0].axes["training.epochs"] for cell in plan.cells if cell.method == "b"]
    assert baselines == [1, 2, 1, 2]


def test_axes_of_parts_come_first_and_bring_their_parameters(make_plan: MakePlan) -> None:
    plan = make_plan(
        "study: s\nmethods: {a: {loss.scale: 9}}\n"
        "compare:\n"
        "  synthesis.ratio: [0.5, 1]\n"
        "  synthesis: [none, proxy_synthesis]\n"
        "  loss: [norm_softmax, {name: norm_softmax, scale: 5}]\n"
    )
    found = axes(plan, "a")
    assert len(found) == 2 * (1 + 2)
    assert {"dataset": "glyphs", "synthesis": "none", "loss": "norm_softmax(scale=5)"} in found
    assert {"dataset": "glyphs", "synthesis.ratio": 1, "synthesis": "proxy_synthesis", "loss": "norm_softmax"} in found
    scales = {(cell.axes["loss"], cell.config.loss.model_dump()["scale"]) for cell in plan.cells if cell.method == "a"}
    assert scales == {("norm_softmax", 9), ("norm_softmax(scale=5)", 5)}


def test_a_part_from_the_command_line_brings_its_axes(make_plan: MakePlan) -> None:
    text = "study: s\nmethods: {a: {}, b: {synthesis: proxy_synthesis}}\ncompare: {synthesis.ratio: [1, 2]}\n"
    plan = make_plan(text, "synthesis=proxy_synthesis")
    assert [cell["synthesis.ratio"] for cell in axes(plan, "a")] == [1, 2]


def test_excluded_cells_are_gone(make_plan: MakePlan) -> None:
    plan = make_plan(
        "study: s\nmethods: {a: {}, b: {loss: proxy_nca}}\ncompare: {embedding_dim: [8, 16, 32]}\n"
        "exclude:\n  - {method: b, embedding_dim: [16, 32]}\n  - {loss: norm_softmax, embedding_dim: 8}\n"
    )
    assert [cell["embedding_dim"] for cell in axes(plan, "a")] == [16, 32]
    assert [cell["embedding_dim"] for cell in axes(plan, "b")] == [8]
    assert plan.counts.excluded == 3


def test_cells_that_do_the_same_share_their_runs(make_plan: MakePlan) -> None:
    plan = make_plan(
        "study: s\nuntrained: false\nmethods:\n  a: {}\n  b: {synthesis: proxy_synthesis, baseline: a}\n"
        "compare: {synthesis.ratio: [0, 1], synthesis.mixup_alpha: [0.2, 0.4]}\nreplicates: {seeds: 2}\n"
    )
    ids = [tuple(replicate.run_id for replicate in cell.replicates) for cell in plan.cells]
    assert ids[0] == ids[1] == ids[2]  # the baseline, and ratio 0 at both alphas
    assert len(set(ids[2:])) == 3
    assert plan.counts.replicates == 10
    assert (plan.counts.runs, plan.counts.shared) == (6, 4)
    shared = plan.runs[ids[0][0]]
    assert shared.cells == (0, 1, 2)
    assert plan.warnings == ()


def test_a_run_is_trained_without_what_cannot_matter(make_plan: MakePlan) -> None:
    plan = make_plan("study: s\nmethods: {a: {synthesis: {name: proxy_synthesis, ratio: 0}}}\nuntrained: false\n")
    assert plan.cells[0].config.synthesis.name == "proxy_synthesis"
    assert [run.config.synthesis.name for run in plan.runs.values()] == ["none"]


def test_baselines_agree_on_every_axis_that_they_have(make_plan: MakePlan) -> None:
    plan = make_plan(
        "study: s\nmethods:\n  a: {}\n  b: {synthesis: proxy_synthesis, baseline: a}\n  c: {baseline: b}\n"
        "  d: {baseline: untrained}\n"
        "compare: {dataset: [glyphs, small], synthesis.ratio: [1]}\n"
        "datasets: {small: {name: glyphs, classes: 8}}\n"
        "exclude: [{method: a, dataset: small}]\n"
    )
    titles = {cell.title: cell.baseline for cell in plan.cells}
    assert plan.cells[titles["b (dataset=glyphs, synthesis.ratio=1)"] or 0].title == "a (dataset=glyphs)"
    assert titles["b (dataset=small, synthesis.ratio=1)"] is None
    assert titles["c (dataset=glyphs)"] is None  # b has an axis that c does not have
    assert plan.cells[titles["d (dataset=small)"] or 0].title == "untrained (dataset=small)"
    assert [warning for warning in plan.warnings if "baseline" in warning] == [
        "no cell of the baseline 'a' has the axes of one cell of 'b'; they stand without a difference",
        "no cell of the baseline 'b' has the axes of 2 cells of 'c'; they stand without a difference",
    ]


def test_the_untrained_row_has_the_axes_that_change_it(make_plan: MakePlan) -> None:
    plan = make_plan(
        "study: s\nmethods: {a: {}, b: {synthesis: proxy_synthesis}}\nreplicates: {seeds: 2, folds: 2}\n"
        "compare: {backbone: [conv4, resnet18], loss.scale: [1, 2], backbone.pooling: [avg, max],\n"
        "          synthesis.ratio: [1]}\n"
    )
    assert axes(plan, "untrained") == [
        {"dataset": "glyphs", "backbone": backbone, "backbone.pooling": pooling}
        for backbone in ("conv4", "resnet18")
        for pooling in ("avg", "max")
    ]
    row = plan.cells[0]
    assert row.config.strategy.name == "untrained"
    assert [(each.seed, each.fold) for each in row.replicates] == [(0, 0), (1, 0)]  # folds do not matter
    assert next(iter(plan.methods)) == "untrained"


def test_random_weights_differ_by_seed_and_weights_from_a_file_do_not(make_plan: MakePlan) -> None:
    plan = make_plan(
        "study: s\nextends: frozen_features\nmethods: {a: {}}\n"
        "settings: {backbone: {name: mobilenet_v2, weights: file.pth}}\nreplicates: {seeds: 3}\n"
    )
    assert [len(cell.replicates) for cell in plan.cells] == [1, 3]


def test_methods_that_start_from_different_embeddings(make_plan: MakePlan) -> None:
    text = "study: s\nmethods: {a: {backbone: resnet18}, b: {}}\n"
    plan = make_plan(text)
    assert plan.cells[0].config.backbone.name == "resnet18"
    assert plan.warnings == (
        "methods start from different embeddings: the untrained row is that of 'a' and not that of 'b'",
    )
    assert "untrained" not in make_plan(text + "untrained: false\n").methods


def test_without_a_dataset_axis_the_dataset_is_still_a_coordinate(make_plan: MakePlan) -> None:
    plan = make_plan("study: s\nmethods: {a: {}, b: {dataset: small}}\ndatasets: {small: {name: glyphs, classes: 8}}\n")
    assert axes(plan, "a") == [{"dataset": "glyphs"}]
    assert axes(plan, "b") == [{"dataset": "small"}]
    assert axes(plan, "untrained") == [{"dataset": "glyphs"}, {"dataset": "small"}]


def test_cells_on_a_gpu_are_other_runs(make_plan: MakePlan) -> None:
    plan = make_plan("study: s\nmethods: {a: {}, b: {resources: {gpu: 0.5}}}\nuntrained: false\n")
    assert [cell.config.device for cell in plan.cells] == ["cpu", "cuda"]
    assert len(plan.runs) == 2
    assert [run.resources.gpu for run in plan.runs.values()] == [0, 0.5]
