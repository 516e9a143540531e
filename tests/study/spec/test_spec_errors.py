"""Every mistake in a spec is refused before anything starts, with file, line, key, value and remedy."""

from collections.abc import Callable
from pathlib import Path

import pytest

from study.plan import build_plan
from study.spec import SpecError, load_spec

BASE = """\
study: s
extends: fast_cpu
methods:
  a: {loss: norm_softmax}
  b: {loss: norm_softmax, synthesis: proxy_synthesis, baseline: a}
"""

Refused = Callable[..., list[str]]


@pytest.fixture
def refused(write_spec: Callable[..., Path]) -> Refused:
    """All messages about a spec, one line each."""

    def problems(text: str, *overrides: str) -> list[str]:
        with pytest.raises(SpecError) as caught:
            build_plan(load_spec(write_spec(text), overrides=overrides), resolve_data=False)
        assert all(str(problem) in str(caught.value) for problem in caught.value.problems)
        return [str(problem) for problem in caught.value.problems]

    return problems


@pytest.mark.parametrize(
    ("line", "message"),
    [
        # keys of the spec
        ("metods: {}", "metods: unknown key 'metods'; did you mean 'methods'?"),
        ("backbone: conv4", "backbone: unknown key 'backbone'; write it under settings: `settings: {backbone: ...}`"),
        ("seeds: 3", "seeds: unknown key 'seeds'; write replicates.seeds"),
        ("description: 3", "description: should be text, got 3"),
        ("untrained: yes", 'untrained: should be true or false, got "yes"'),
        ("settings: [1]", "settings: should be a mapping, {key: value}, got [1]"),
        # settings
        ("settings: {trainig.epochs: 3}", "settings.trainig.epochs: unknown key 'trainig'; did you mean 'training'?"),
        ("settings: {training.epoch: 3}", "settings.training.epoch: unknown key 'epoch'; did you mean 'epochs'?"),
        ("settings: {training: {epoch: 3}}", "settings.training.epoch: unknown key 'epoch'; did you mean 'epochs'?"),
        ("settings: {epochs: 3}", "settings.epochs: unknown key 'epochs'; did you mean 'training.epochs'?"),
        ("settings: {training.epochs: many}", 'settings.training.epochs: should be a whole number, got "many"'),
        ("settings: {training.epochs: '3'}", 'settings.training.epochs: should be a whole number, got "3"'),
        ("settings: {training.epochs: true}", "settings.training.epochs: should be a whole number, got true"),
        ("settings: {training.epochs: 2.5}", "settings.training.epochs: should be a whole number, got 2.5"),
        ("settings: {training.epochs: 0}", "settings.training.epochs: should be greater than or equal to 1, got 0"),
        ("settings: {loss.scale: .inf}", "settings.loss.scale: should be a finite number, got Infinity"),
        ("settings: {embedding_dim: 0}", "settings.embedding_dim: should be greater than or equal to 1, got 0"),
        ("settings: {embedding_dim.x: 1}", "settings.embedding_dim.x: 'embedding_dim' is one value and has no 'x'"),
        ("settings: {training: fast}", 'settings.training: should be a mapping of its keys, got "fast"'),
        ("settings: {seed: 1}", "settings.seed: cannot be set; seeds are replicates: write replicates.seeds"),
        ("settings: {device: cuda}", "settings.device: cannot be set; the device follows from resources.gpu"),
        ("settings: {loss: norm_sofmax}", "settings.loss: unknown loss 'norm_sofmax'; did you mean 'norm_softmax'?"),
        ("settings: {backbone: resnet19}", "settings.backbone: unknown backbone 'resnet19'; did you mean 'resnet18'?"),
        ("settings: {dataset: glyhps}", "settings.dataset: unknown dataset 'glyhps'; did you mean 'glyphs'?"),
        (
            "settings: {synthesis: proxy_synth}",
            "settings.synthesis: unknown synthesis 'proxy_synth'; did you mean 'proxy_synthesis'?",
        ),
        (
            "settings: {synthesis: null}",
            "settings.synthesis: should be the name of a synthesis or a mapping with a 'name', got null",
        ),
        (
            "settings: {loss: {name: norm_softmax, scael: 3}}",
            "settings.loss.scael: unknown key 'scael'; did you mean 'scale'?",
        ),
        ("settings: {loss.scael: 3}", "settings.loss.scael: no loss has a parameter 'scael'; did you mean 'scale'?"),
        (
            "settings: {loss.gamma: 0.3}",
            "settings.loss.gamma: reaches nothing: the methods have loss norm_softmax, "
            "and 'gamma' belongs to soft_triple",
        ),
        ("settings: {optimizer: {name: sgd, lr: 0}}", "settings.optimizer.lr: should be greater than 0, got 0"),
        (
            "settings: {training.epochs: 3, training: {epochs: 4}}",
            "settings.training.epochs: is set twice in settings, first at spec.yaml:6; keep one",
        ),
        (
            "protocol: {select_by: map_at_R}",
            "protocol.select_by: should be 'recall_at_1', 'r_precision', 'map_at_r', 'ndcg_at_10' or "
            "'label_distance_at_10', got \"map_at_R\"; "
            "did you mean 'map_at_r'?",
        ),
        # axes
        (
            "compare: {synthesis.ratio: [1, -1]}",
            "compare.synthesis.ratio[1]: should be greater than or equal to 0, got -1",
        ),
        ("compare: {synthesis.mixup_alpha: [0]}", "compare.synthesis.mixup_alpha[0]: should be greater than 0, got 0"),
        (
            "compare: {synthesis: {ratio: [-2]}}",
            "compare.synthesis.ratio[0]: should be greater than or equal to 0, got -2",
        ),
        (
            "compare: {synthesis.ratoi: [1]}",
            "compare.synthesis.ratoi: no synthesis has a parameter 'ratoi'; did you mean 'ratio'?",
        ),
        (
            "compare: {loss.gamma: [1]}",
            "compare.loss.gamma: reaches nothing: the methods have loss norm_softmax, "
            "and 'gamma' belongs to soft_triple",
        ),
        ("compare: {synthesis.ratio: []}", "compare.synthesis.ratio: is an empty list; give the values to compare"),
        ("compare: {synthesis.ratio: 1}", "compare.synthesis.ratio: should be a list of values, such as [1]"),
        ("compare: {synthesis.ratio: [1, 2, 1.0]}", "compare.synthesis.ratio: has 1.0 twice; keep one"),
        ("compare: {dataset: [glyhps]}", "compare.dataset[0]: unknown dataset 'glyhps'; did you mean 'glyphs'?"),
        ("compare: {seed: [1]}", "compare.seed: cannot be compared; seeds are replicates: write replicates.seeds"),
        ("compare: {loss: [{name: proxy_nca, scale: -1}]}", "compare.loss[0].scale: should be greater than 0, got -1"),
        (
            "compare: {training: [{epohcs: 3}]}",
            "compare.training[0].epohcs: unknown key 'epohcs'; did you mean 'epochs'?",
        ),
        # rules and exclusions
        (
            "rules: [{when: {datset: glyphs}, set: {training.epochs: 3}}]",
            "rules[0].when.datset: unknown key 'datset'; did you mean 'dataset'?",
        ),
        (
            "rules: [{when: {dataset: glyph}, set: {training.epochs: 3}}]",
            "rules[0].when.dataset: unknown dataset 'glyph'; did you mean 'glyphs'?",
        ),
        (
            "rules: [{when: {synthesis.ratio: '1'}, set: {training.epochs: 3}}]",
            'rules[0].when.synthesis.ratio: should be a number, got "1"',
        ),
        ("rules: [{when: {method: c}, set: {loss.scale: 3}}]", "rules[0].when.method: unknown method 'c'; known: a, b"),
        ("rules: [{when: {method: a}}]", "rules[0].set: is missing"),
        (
            "rules: [{when: {method: []}, set: {loss.scale: 3}}]",
            "rules[0].when.method: is an empty list and never fits",
        ),
        (
            "rules: [{when: {training: 3}, set: {loss.scale: 3}}]",
            "rules[0].when.training: names a section; write one of its keys, such as 'training.epochs'",
        ),
        (
            "rules: [{when: {method: a}, set: {training.epochs: 0}}]",
            "rules[0].set.training.epochs: should be greater than or equal to 1, got 0",
        ),
        ("exclude: [{methd: a}]", "exclude[0].methd: unknown key 'methd'; did you mean 'method'?"),
        ("exclude: [{}]", "exclude[0]: is empty and would exclude every cell"),
        ("exclude: [{dataset: glyphs}]", "exclude: leaves no cell to train"),
        # claims
        ("claims: [a better than b]", "claims[0]: should read 'A > B on map_at_r', got 'a better than b'"),
        ("claims: [a > c on map_at_r]", "claims[0]: unknown method 'c'; known: a, b, untrained"),
        ("claims: [b > a on map_at_R]", "claims[0]: unknown metric 'map_at_R'; did you mean 'map_at_r'?"),
        ("claims: [a > a on map_at_r]", "claims[0]: compares 'a' with itself"),
        ("claims: [b > a on recall_at_16]", "claims: recall_at_16 is not computed; add 16 to protocol.ks"),
        # replicates, resources, stages, budget
        ("replicates: {sedes: 3}", "replicates.sedes: unknown key 'sedes'; did you mean 'seeds'?"),
        ("replicates: {seeds: [0, 1, 0]}", "replicates.seeds: should have every number once, got [0, 1, 0]"),
        ("replicates: {seeds: [-1]}", "replicates.seeds: should have no negative number, got [-1]"),
        ("replicates: {seeds: 0}", "replicates.seeds: should be at least 1, got 0"),
        (
            "replicates: {seeds: true}",
            "replicates.seeds: should be a count such as 3 or a list such as [0, 1, 2], got true",
        ),
        (
            "replicates: {seeds: []}",
            "replicates.seeds: should be a count such as 3 or a list such as [0, 1, 2], got []",
        ),
        (
            "replicates: {folds: [0, 4]}",
            "replicates.folds: fold 4 does not exist with 4 protocol.validation_folds (0 to 3)",
        ),
        ("resources: {cpus: 1}", "resources.cpus: unknown key 'cpus'; did you mean 'cpu'?"),
        ("resources: {gpu: -1}", "resources.gpu: should be greater than or equal to 0, got -1"),
        ("resources: {gpu: 1.5}", "resources.gpu: above 1 should be a whole number of GPUs, got 1.5"),
        ("resources: {gpu: aut}", 'resources.gpu: should be a number or auto, got "aut"'),
        ("resources: {gpu: true}", "resources.gpu: should be a number or auto, got true"),
        ("resources: {gpu_memory: lots}", 'resources.gpu_memory: should be a size such as 4GB, got "lots"'),
        ("resources: {gpu_mem: 4GB}", "resources.gpu_mem: unknown key 'gpu_mem'; did you mean 'gpu_memory'?"),
        (
            "resources: {gpu: 0.5, gpu_memory: 4GB}",
            "resources: has a number for gpu and gpu_memory; with gpu_memory, gpu is auto: leave one of them out, "
            'got {"gpu": 0.5, "gpu_memory": "4GB"}',
        ),
        ("resources: {memory: lots}", 'resources.memory: should be a size such as 4GB, got "lots"'),
        ("stages: {tune: {trials: 0}}", "stages.tune.trials: should be greater than or equal to 1, got 0"),
        (
            "stages: {tune: {sampler: tpee}}",
            "stages.tune.sampler: should be 'tpe', 'random', 'gp', 'cmaes' or 'qmc', got \"tpee\"; did you mean 'tpe'?",
        ),
        (
            "stages: {tune: {seeds: [2, 100]}}",
            "stages.tune.seeds: has [2] in common with the seeds of the tables; "
            "choose settings on other seeds, such as [100, 101]",
        ),
        (
            "stages: {tune: {scheduler: {ray: foo}}}",
            "stages.tune.scheduler: should be none, halving, asha, or {ray: asha}, {ray: median}, {ray: hyperband}, "
            'got {"ray": "foo"}',
        ),
        ("budget: {gpu_hours: 0}", "budget.gpu_hours: should be greater than 0, got 0"),
        # datasets
        ("datasets: {x: {name: image_folder}}", None),
        ("datasets: {x: {path: a}}", 'datasets.x: should be a mapping with the name of a dataset, got {"path": "a"}'),
        (
            "datasets: {x: {name: image_foldr, path: a}}",
            "datasets.x.name: unknown dataset 'image_foldr'; did you mean 'image_folder'?",
        ),
        (
            "datasets: {x: {name: glyphs, clases: 9}}",
            "datasets.x.clases: unknown key 'clases'; did you mean 'classes'?",
        ),
        ("datasets: {x: {name: glyphs, label: y}}", "datasets.x.label: the label of a dataset is its name here, 'x'"),
    ],
)
def test_a_wrong_line(refused: Refused, line: str, message: str | None) -> None:
    if message is None:
        messages = refused(f"{BASE}{line}\nsettings: {{dataset: x}}\n")
        assert messages == ["spec.yaml:7: settings.dataset: path is missing"]
    else:
        assert refused(f"{BASE}{line}\n") == [f"spec.yaml:6: {message}"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("c: {los: proxy_nca}", "methods.c.los: unknown key 'los'; did you mean 'loss'?"),
        ("c: proxy_nca", 'methods.c: should be a mapping, {key: value}, got "proxy_nca"'),
        ("c: {baseline: aa}", "methods.c.baseline: unknown method 'aa'; did you mean 'a'?"),
        ("c: {baseline: c}", "methods.c.baseline: goes round in a circle: c -> c"),
        ("c: {extends: aa}", "methods.c.extends: unknown method 'aa'; did you mean 'a'?"),
        ("c: {extends: c}", "methods.c.extends: goes round in a circle: c -> c"),
        ("c: null", "methods.c: unknown method 'c'; known: a, b"),
        ("a: {loss: proxy_nca}", "methods.a: stands twice, first on line 4; keep one"),
        (
            "untrained: {loss: proxy_nca}",
            "methods.untrained: is the name of the automatic row; rename the method or set `untrained: false`",
        ),
        (
            "c: {synthesis.gap: 1}",
            "methods.c.synthesis.gap: reaches nothing: method 'c' has synthesis none, and 'gap' belongs to memvir",
        ),
        (
            "c: {loss: norm_softmax, settings: {loss.margin: 1}}",
            "methods.c.settings.loss.margin: unknown key 'margin'; known: proxy_init, scale",
        ),
        ("c: {resources: {gpu: x}}", 'methods.c.resources.gpu: should be a number or auto, got "x"'),
        ("'{m}+': {for: {m: []}}", "methods.{m}+.for.m: should be a list of names or numbers"),
        ("'{m}+': {for: {m: [a, a]}}", "methods.{m}+.for.m: should have every value once"),
        ("'{m}+': {for: a}", "methods.{m}+.for: should be a mapping such as {m: [method-a, method-b]}"),
        ("'{m}+': {extends: a}", "methods.{m}+: uses {m}, but `for` is missing; add `for: {m: [..]}`"),
        ("'{m}+': {for: {n: [a]}}", "methods.{m}+: uses {m}, but `for` has n; add `for: {m: [..]}`"),
        (
            "'{m}': {for: {m: [a]}, loss: proxy_nca}",
            "methods.{m}: the name 'a' is taken by another method of this file",
        ),
        ("c: {for: {m: [a, b]}, extends: '{m}'}", "methods.c: the name 'c' is taken by another method of this file"),
        (
            "c: {tune: {loss.scael: [1]}}",
            "methods.c.tune.loss.scael: no loss has a parameter 'scael'; did you mean 'scale'?",
        ),
        ("c: {tune: {loss: [a]}}", "methods.c.tune.loss: names a section; write a parameter such as 'loss.scale'"),
        (
            "c: {tune: {synthesis.gap: [1]}}",
            "methods.c.tune.synthesis.gap: reaches nothing: method 'c' has synthesis none, and 'gap' belongs to memvir",
        ),
        (
            "c: {tune: {loss.scale: {distribution: unifrom, min: 1, max: 2}}}",
            "methods.c.tune.loss.scale: unknown distribution 'unifrom'; did you mean 'uniform'?",
        ),
        (
            "c: {tune: {loss.scale: 3}}",
            "methods.c.tune.loss.scale: should be a list of choices or {distribution: uniform, min: .., max: ..}, "
            "got 3",
        ),
        ("c: {tune: {loss.scale: []}}", "methods.c.tune.loss.scale.values: should not be empty, got []"),
        (
            "c: {tune: {loss.scale: [3, 3]}}",
            "methods.c.tune.loss.scale.values: should have every value once, got [3, 3]",
        ),
        ("c: {tune: {loss.scale: [3, -3]}}", "methods.c.tune.loss.scale: should be greater than 0, got -3"),
        ("c: {tune: {loss.scale: {distribution: uniform, min: 1}}}", "methods.c.tune.loss.scale.max: is missing"),
        (
            "c: {tune: {loss.scale: {distribution: uniform, min: 0, max: 1}}}",
            "methods.c.tune.loss.scale: bound should be greater than 0, got 0.0",
        ),
        (
            "c: {tune: {training.epochs: {distribution: int, min: 1.5, max: 3}}}",
            "methods.c.tune.training.epochs.min: should be a whole number, got 1.5",
        ),
    ],
)
def test_a_wrong_method(refused: Refused, line: str, message: str) -> None:
    assert refused(f"{BASE}  {line}\n") == [f"spec.yaml:6: {message}"]


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ("{distribution: uniform, min: 2, max: 1}", "min should be below max"),
        ("{distribution: loguniform, min: 0, max: 1}", "a logarithmic range needs a min above 0"),
        ("{distribution: loguniform, min: 1, max: 2, step: 0.1}", "a logarithmic range has no step"),
    ],
)
def test_bounds_that_contradict_each_other(refused: Refused, bounds: str, message: str) -> None:
    (found,) = refused(f"{BASE}  c: {{tune: {{loss.scale: {bounds}}}}}\n")
    assert found.startswith(f"spec.yaml:6: methods.c.tune.loss.scale: {message}, got {{")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.epoch=3", "--set: training.epoch: unknown key 'epoch'; did you mean 'epochs'?"),
        ("training.epochs", "--set: training.epochs: should be key=value, such as training.epochs=3"),
        ("training.epochs=0", "--set: training.epochs: should be greater than or equal to 1, got 0"),
        ("training.epochs=[1", "--set: training.epochs=[1: has a value that is not valid YAML"),
        ("metods.a.loss=proxy_nca", "--set: metods.a.loss: unknown key 'metods'; did you mean 'methods'?"),
        ("methods.c.loss=proxy_nca", "--set: methods.c: unknown method 'c'; known: a, b"),
        ("replicates.seeds=0", "--set: replicates.seeds: should be at least 1, got 0"),
        ("replicates.sedes=2", "--set: replicates.sedes: unknown key 'sedes'; did you mean 'seeds'?"),
        (
            "synthesis.ratio=1",
            "--set: synthesis.ratio: is an axis of compare; narrow the axis instead: "
            "--set 'compare.synthesis.ratio=[...]'",
        ),
        ("loss.margin=1", "--set: loss.margin: reaches nothing: the methods have loss norm_softmax"),
    ],
)
def test_a_wrong_override(refused: Refused, override: str, message: str) -> None:
    (found,) = refused(f"{BASE}compare: {{synthesis.ratio: [1]}}\n", override)
    assert found.startswith(message)


def test_all_problems_come_at_once(refused: Refused) -> None:
    found = refused(
        "study: s\nstduy: x\nextends: fast_cpu\nmethods:\n  a: {los: x}\n  b: {loss: nca}\n"
        "settings: {training.epoch: 1}\nreplicates: {seeds: 0}\nclaims: [a > c on map_at_r]\n"
    )
    assert [message.split(": ")[0] for message in found] == [f"spec.yaml:{line}" for line in (2, 5, 6, 7, 8, 9)]


def test_circles_of_baselines_and_extensions(refused: Refused) -> None:
    found = refused("study: s\nmethods:\n  a: {baseline: b}\n  b: {baseline: a}\n")
    assert "goes round in a circle: a -> b -> a" in found[0]
    found = refused("study: s\nmethods:\n  a: {extends: b}\n  b: {extends: a}\n")
    assert "goes round in a circle: a -> b -> a" in found[0]


def test_a_tuned_axis_and_seeds_in_two_places(refused: Refused) -> None:
    text = f"{BASE}  c: {{tune: {{loss.scale: [1, 2]}}}}\ncompare: {{loss.scale: [3]}}\n"
    assert refused(text) == [
        "spec.yaml:6: methods.c.tune.loss.scale: is an axis of compare too (spec.yaml:7); tune it or compare it"
    ]
    text = f"{BASE}stages: {{confirm: {{seeds: 3}}}}\nreplicates: {{seeds: 4}}\n"
    assert refused(text) == [
        "spec.yaml:6: stages.confirm.seeds: the seeds stand under replicates too (spec.yaml:7); keep one"
    ]


def test_what_every_spec_needs(refused: Refused) -> None:
    assert refused("methods: {a: {}}\n") == ["spec.yaml: study: is missing; give the study a name: `study: my-study`"]
    assert refused("study: s\n")[0].startswith("spec.yaml: methods: is missing; a study compares methods")
    assert refused("study: a/b\nmethods: {a: {}}\n")[0].startswith("spec.yaml:1: study: string should match")


def test_sections_that_contradict_each_other(refused: Refused) -> None:
    text = "study: s\nmethods:\n  a: {training: {epochs: 3, warmup_epochs: 4}}\ncompare: {loss.scale: [1, 2, 3]}\n"
    assert refused(text) == ["spec.yaml:3: methods.a: training.warmup_epochs is larger than training.epochs"]


def test_extended_files(refused: Refused, write_spec: Callable[..., Path]) -> None:
    assert refused("study: s\nextends: fast_cup\n") == [
        "spec.yaml:2: extends: unknown preset 'fast_cup'; did you mean 'fast_cpu'?"
    ]
    assert "there is no file 'base.yaml'" in refused("study: s\nextends: base.yaml\n")[0]
    write_spec("extends: spec.yaml\n", "other.yaml")
    assert refused("study: s\nextends: other.yaml\n") == [
        "other.yaml:1: extends: goes round in a circle: spec.yaml -> other.yaml -> spec.yaml"
    ]
    write_spec("settings:\n  training.epoch: 3\n", "other.yaml")
    assert refused("study: s\nextends: other.yaml\nmethods: {a: {}}\n") == [
        "other.yaml:2: settings.training.epoch: unknown key 'epoch'; did you mean 'epochs'?"
    ]
