"""Which value wins: defaults < extended files < settings < method < axis < rules < command line.

Rules of an extended protocol count among the extended files.
"""

from collections.abc import Callable
from pathlib import Path

from pydantic import BaseModel

from study.plan import Plan, explain
from trainables.config import RunConfig

MakePlan = Callable[..., Plan]


def configs(plan: Plan, method: str) -> list[RunConfig]:
    return [cell.config for cell in plan.cells if cell.method == method]


def sources(plan: Plan, cell: str, key: str) -> list[tuple[object, str]]:
    return [(value, source) for name, value, source in explain(plan, cell) if name == key]


LAYERS = (
    "study: s",
    "extends: fast_cpu",
    "settings: {optimizer.lr: 0.2}",
    "methods: {a: {optimizer.lr: 0.3}}",
    "compare: {optimizer.lr: [0.4]}",
    "rules: [{when: {method: a}, set: {optimizer.lr: 0.5}}, {when: {dataset: glyphs}, set: {optimizer.lr: 0.6}}]",
)


def test_every_layer_beats_those_before_it(make_plan: MakePlan) -> None:
    plain = "methods: {a: {}}"
    specs = [
        (("study: s", plain), 0.001, "default"),
        ((*LAYERS[:2], plain), 0.001, "preset fast_cpu (fast_cpu.yaml:14)"),
        ((*LAYERS[:3], plain), 0.2, "settings (spec.yaml:3)"),
        (LAYERS[:4], 0.3, "method 'a' (spec.yaml:4)"),
        (LAYERS[:5], 0.4, "compare (spec.yaml:5)"),
        (LAYERS[:6], 0.6, "rule 2 (spec.yaml:6)"),
    ]
    for lines, value, source in specs:
        plan = make_plan("\n".join(lines))
        assert sources(plan, "method=a", "optimizer.lr") == [(value, source)]
        assert [run.optimizer.model_dump()["lr"] for run in configs(plan, "a")] == [value]


def test_the_command_line_beats_everything_or_joins_the_settings(make_plan: MakePlan) -> None:
    text = "\n".join((*LAYERS[:4], LAYERS[5]))
    plan = make_plan(text, "optimizer.lr=0.7")
    assert sources(plan, "method=a", "optimizer.lr") == [(0.7, "--set")]
    plan = make_plan(text, "settings.optimizer.lr=0.7")
    assert sources(plan, "method=a", "optimizer.lr") == [(0.6, "rule 2 (spec.yaml:5)")]
    plan = make_plan("\n".join(LAYERS[:3]) + "\nmethods: {a: {}}", "settings.optimizer.lr=0.7")
    assert sources(plan, "method=a", "optimizer.lr") == [(0.7, "--set")]


def test_another_part_drops_the_parameters_of_the_one_before(make_plan: MakePlan) -> None:
    plan = make_plan(
        "study: s\n"
        "settings: {optimizer: {name: adam, lr: 0.5, eps: 0.01}, loss: {name: proxy_anchor, scale: 9, margin: 0.3}}\n"
        "methods:\n"
        "  same: {loss: proxy_anchor, optimizer: {weight_decay: 0.1}}\n"
        "  other: {loss: norm_softmax, optimizer: {name: sgd, momentum: 0.5}}\n"
        "  back: {extends: other, loss: proxy_anchor}\n"
    )
    (same,), (other,), (back,) = configs(plan, "same"), configs(plan, "other"), configs(plan, "back")
    assert same.loss.model_dump() == {"name": "proxy_anchor", "scale": 9, "margin": 0.3, "proxy_init": "kaiming_normal"}
    assert same.optimizer.model_dump()["lr"] == 0.5
    assert same.optimizer.model_dump()["eps"] == 0.01
    assert same.optimizer.model_dump()["weight_decay"] == 0.1
    assert other.loss.model_dump()["scale"] == 23  # the default of norm_softmax, not 9
    assert other.optimizer.model_dump()["lr"] == 0.01
    assert back.loss.model_dump()["scale"] == 32  # what another part dropped does not come back


def test_a_parameter_without_a_part_goes_to_whoever_has_it(make_plan: MakePlan) -> None:
    plan = make_plan(
        "study: s\n"
        "settings: {loss.margin: 0.3, synthesis.ratio: 0.5, loss.scale: 7}\n"
        "methods:\n"
        "  a: {loss: norm_softmax}\n"
        "  b: {loss: proxy_anchor, synthesis: proxy_synthesis}\n"
        "  c: {loss: {name: proxy_anchor, margin: 0.4}}\n"
    )
    (a,), (b,), (c,) = configs(plan, "a"), configs(plan, "b"), configs(plan, "c")
    assert a.loss.model_dump()["scale"] == 7
    assert (b.loss.model_dump()["margin"], b.synthesis.model_dump()["ratio"]) == (0.3, 0.5)
    assert c.loss.model_dump()["margin"] == 0.4
    assert (a.synthesis.name, c.synthesis.name) == ("none", "none")


def test_a_preset_may_set_what_no_method_has(make_plan: MakePlan, tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("settings: {loss.margin: 0.3}\n")
    plan = make_plan("study: s\nextends: base.yaml\nmethods: {a: {loss: norm_softmax}}\n")
    assert configs(plan, "a")[0].loss.name == "norm_softmax"


def test_rules_see_what_earlier_rules_did(make_plan: MakePlan) -> None:
    plan = make_plan(
        "study: s\nmethods: {a: {}, b: {loss: proxy_nca}}\ncompare: {embedding_dim: [8, 16]}\n"
        "rules:\n"
        "  - {when: {loss: proxy_nca, embedding_dim: 16}, set: {training.epochs: 3}}\n"
        "  - {when: {training.epochs: 3}, set: {synthesis: proxy_synthesis, synthesis.ratio: 0.5}}\n"
        "  - {when: {synthesis.ratio: [0.5, 0.7]}, set: {training: {batch_size: 16}}}\n"
    )
    found = [(run.training.epochs, run.synthesis.name, run.training.batch_size) for run in configs(plan, "b")]
    assert found == [(20, "none", 128), (3, "proxy_synthesis", 16)]
    assert {run.training.batch_size for run in configs(plan, "a")} == {128}


PROTOCOL = (
    "settings: {optimizer.lr: 0.1, schedule: {name: step, every: 3}}\n"
    "rules:\n"
    "  - {when: {loss: proxy_nca}, set: {optimizer.lr: 0.2, training.epochs: 7, schedule.every: 4}}\n"
    "  - {when: {training.epochs: 7, dataset: glyphs}, set: {embedding_dim: 5}}\n"
    "  - {when: {loss: triplet}, set: {embedding_dim: 6}}\n"
)


def test_rules_of_a_protocol_are_defaults(make_plan: MakePlan, tmp_path: Path) -> None:
    """They see the whole cell, and what the study, a method, an axis or the command line says wins."""
    (tmp_path / "protocol.yaml").write_text(PROTOCOL)
    methods = "methods: {a: {loss: proxy_nca}, b: {loss: proxy_nca, schedule: cosine}, c: {}}\n"
    spec = "study: s\nextends: protocol.yaml\n" + methods
    plan = make_plan(spec)
    found = [
        (each.optimizer.model_dump()["lr"], each.training.epochs, each.embedding_dim)
        for (each,) in (configs(plan, name) for name in "abc")
    ]
    assert found == [(0.2, 7, 5), (0.2, 7, 5), (0.1, 20, 64)]
    assert [configs(plan, name)[0].schedule.model_dump().get("every") for name in "abc"] == [4, None, 3]
    assert plan.warnings == ()  # a rule that fits nothing here is for other studies
    assert sources(plan, "method=a", "optimizer.lr") == [(0.2, "rule 1 of protocol.yaml (protocol.yaml:3)")]
    for more, value in (
        ("settings: {optimizer.lr: 0.3}\n", [0.3]),
        ("compare: {optimizer.lr: [0.4, 0.5]}\n", [0.4, 0.5]),
    ):
        assert [run.optimizer.model_dump()["lr"] for run in configs(make_plan(spec + more), "a")] == value
    own = make_plan(spec + "rules: [{when: {loss: proxy_nca}, set: {optimizer.lr: 0.6}}]\n")
    assert sources(own, "method=a", "optimizer.lr") == [(0.6, "rule 1 (spec.yaml:4)")]
    assert [run.training.epochs for run in configs(make_plan(spec, "loss.name=norm_softmax"), "a")] == [20]


def test_rules_of_an_extended_study_beat_its_methods(make_plan: MakePlan, tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(
        "methods: {a: {optimizer.lr: 0.1}}\nrules: [{when: {method: a}, set: {optimizer.lr: 0.2}}]\n"
    )
    plan = make_plan("study: s\nextends: base.yaml\ncompare: {embedding_dim: [8]}\n")
    assert [run.optimizer.model_dump()["lr"] for run in configs(plan, "a")] == [0.2]


def test_rules_that_name_a_dataset_go_by_its_alias(make_plan: MakePlan) -> None:
    plan = make_plan(
        "study: s\nmethods: {a: {}}\ncompare: {dataset: [small, large, glyphs]}\n"
        "datasets: {small: {name: glyphs, classes: 8}, large: {name: glyphs, classes: 9}}\n"
        "rules: [{when: {dataset: [small, glyphs]}, set: {training.epochs: 1}}]\n"
    )
    assert [run.training.epochs for run in configs(plan, "a")] == [1, 20, 1]
    assert [run.dataset.title for run in configs(plan, "a")] == ["small", "large", "glyphs"]


def test_every_leaf_has_a_source(make_plan: MakePlan) -> None:
    plan = make_plan(
        "study: s\nextends: fast_cpu\nmethods: {a: {synthesis: proxy_synthesis}}\n"
        "datasets:\n  birds: {name: image_folder, path: birds.zip}\n"
        "compare:\n  dataset: [birds]\n  synthesis.ratio: [0.5]\n"
        "rules:\n  - when: {dataset: birds}\n    set:\n      optimizer.lr: 0.5\n"
        "replicates: {seeds: [4, 5]}\nresources: {gpu: 1}\n",
        "training.epochs=2",
    )
    found = {key: (value, source) for key, value, source in explain(plan, "method=a")}
    config = configs(plan, "a")[0]
    leaves = {f"{section}.{key}" for section, value in config if isinstance(value, BaseModel) for key, _ in value}
    assert leaves | {"embedding_dim", "seed", "fold", "stage", "device"} == set(found)
    assert found["dataset.name"] == ("image_folder", "compare (spec.yaml:7)")
    assert found["dataset.path"] == ("birds.zip", "datasets.birds (spec.yaml:5)")
    assert found["dataset.label"] == ("birds", "datasets.birds (spec.yaml:5)")
    assert found["dataset.revision"] == ("unresolved birds.zip", "content of the files")
    assert found["dataset.image_size"] == (64, "default")
    assert found["synthesis.ratio"] == (0.5, "compare (spec.yaml:8)")
    assert found["optimizer.lr"] == (0.5, "rule 1 (spec.yaml:12)")
    assert found["training.epochs"] == (2, "--set")
    assert found["embedding_dim"] == (64, "preset fast_cpu (fast_cpu.yaml:9)")
    assert found["device"] == ("cuda", "resources (spec.yaml:14)")
    assert found["seed"] == ([4, 5], "replicates (spec.yaml:13)")
    untrained = {key: source for key, _, source in explain(plan, "method=untrained")}
    assert untrained["strategy.name"] == "automatic row, `untrained: true`"
    assert untrained["dataset.path"] == "datasets.birds (spec.yaml:5)"
