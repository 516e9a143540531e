"""What a right spec means after reading: names, templates, files that extend each other, overrides."""

from collections.abc import Callable
from pathlib import Path

import pytest

from study.spec import Spec, SpecError, load_spec
from trainables.errors import ConfigError
from trainables.losses import LOSSES

Load = Callable[..., Spec]


@pytest.fixture
def load(write_spec: Callable[..., Path]) -> Load:
    def read(text: str, *overrides: str) -> Spec:
        return load_spec(write_spec(text), overrides=overrides)

    return read


def settings(spec: Spec, method: str) -> dict[str, object]:
    """What a method itself sets, without its base settings."""
    (found,) = (each for each in spec.methods if each.name == method)
    return {setting.key: setting.value for setting in found.settings}


def test_nested_and_dotted_settings_are_the_same(load: Load) -> None:
    nested = load("study: s\nmethods: {a: {}}\nsettings: {training: {epochs: 3}, optimizer: {name: sgd, lr: 1e-4}}\n")
    dotted = load("study: s\nmethods: {a: {}}\nsettings: {training.epochs: 3, optimizer: sgd, optimizer.lr: 1e-4}\n")
    expected = {"training.epochs": 3, "optimizer.name": "sgd", "optimizer.lr": 1e-4}
    assert {each.key: each.value for each in nested.base} == expected
    assert {each.key: each.value for each in dotted.base} == expected
    assert [str(each.source) for each in nested.base] == ["settings (spec.yaml:3)"] * 3


def test_methods_take_every_section_and_dotted_keys(load: Load) -> None:
    spec = load(
        "study: s\nmethods:\n"
        "  a: {loss: proxy_anchor, loss.margin: 0.2, embedding_dim: 32, settings: {training.epochs: 3},\n"
        "      keep.weights: selected}\n"
    )
    assert settings(spec, "a") == {
        "loss.name": "proxy_anchor",
        "loss.margin": 0.2,
        "embedding_dim": 32,
        "training.epochs": 3,
        "keep.weights": "selected",
    }


def test_templates_make_a_method_for_every_combination(load: Load) -> None:
    spec = load(
        "study: s\nmethods:\n"
        "  a: {loss: norm_softmax}\n"
        "  b: {loss: proxy_nca}\n"
        '  "{m} + PS {r}": {for: {m: [a, b], r: [0.5, 1]}, extends: "{m}", baseline: "{m}",\n'
        '                   synthesis: {name: proxy_synthesis, ratio: "{r}"}}\n'
    )
    assert [method.name for method in spec.methods] == ["a", "b", "a + PS 0.5", "a + PS 1", "b + PS 0.5", "b + PS 1"]
    assert [method.baseline for method in spec.methods] == [None, None, "a", "a", "b", "b"]
    assert settings(spec, "b + PS 0.5") == {
        "loss.name": "proxy_nca",
        "synthesis.name": "proxy_synthesis",
        "synthesis.ratio": 0.5,  # a placeholder alone keeps the value's type
    }


def test_extended_methods_bring_settings_tuning_and_resources_but_no_baseline(load: Load) -> None:
    spec = load(
        "study: s\nmethods:\n"
        "  z: {}\n"
        "  a: {loss: proxy_nca, baseline: z, resources: {gpu: 0.5},\n"
        "      tune: {loss.scale: [1, 2], embedding_dim: [8, 16]}}\n"
        "  b: {extends: a, tune: {embedding_dim: null, optimizer.lr: [1e-3]}, resources: {cpu: 2}}\n"
    )
    b = spec.methods[2]
    assert settings(spec, "b") == {"loss.name": "proxy_nca"}
    assert list(b.tune) == ["loss.scale", "optimizer.lr"]
    assert (b.resources.cpu, b.resources.gpu) == (2, 0.5)
    assert b.baseline is None
    assert spec.needs_search == ("a", "b")


@pytest.mark.parametrize(
    ("own", "overrides", "gpu", "device", "gpus"),
    [
        ("{gpu_memory: 10GiB}", [], "auto", "cuda", 1.0),
        ("{gpu: auto}", [], "auto", "cuda", 1.0),
        ("{gpu_memory: 10GiB}", ["resources.gpu=0"], 0, "cpu", 0.0),
        ("{gpu_memory: 10GiB}", ["resources.gpu=0.5"], 0.5, "cuda", 0.5),
        ("{gpu: 1}", ["resources.gpu_memory=10GiB"], "auto", "cuda", 1.0),
    ],
)
def test_the_memory_of_a_gpu_implies_an_automatic_share_until_a_later_layer_gives_a_number(
    load: Load, own: str, overrides: list[str], gpu: float | str, device: str, gpus: float
) -> None:
    resources = load(f"study: s\nmethods: {{a: {{}}}}\nresources: {own}\n", *overrides).methods[0].resources
    assert (resources.gpu, resources.device, resources.gpus) == (gpu, device, gpus)
    assert resources.shares_gpu == (gpu in ("auto", 0.5))


def test_a_chain_of_files_applies_base_first(load: Load, write_spec: Callable[..., Path]) -> None:
    write_spec(
        "extends: fast_cpu\nsettings: {training.epochs: 1, loss.scale: 1}\nmethods: {a: {}, b: {}}\n", "base.yaml"
    )
    write_spec("settings: {training.epochs: 2}\nrules: [{when: {method: a}, set: {loss.scale: 9}}]\n", "other.yaml")
    spec = load(
        "study: s\nextends: [base.yaml, other.yaml]\nsettings: {embedding_dim: 3}\n"
        "methods: {b: null, a: {loss.scale: 2}, c: {}}\nrules: [{when: {method: c}, set: {loss.scale: 8}}]\n"
    )
    epochs = [(each.value, str(each.source)) for each in spec.base if each.key == "training.epochs"]
    assert epochs == [
        (20, "preset fast_cpu (fast_cpu.yaml:18)"),
        (1, "extends base.yaml (base.yaml:2)"),
        (2, "extends other.yaml (other.yaml:1)"),
    ]
    assert [method.name for method in spec.methods] == ["a", "c"]
    assert [rule.settings[0].value for rule in spec.rules] == [9, 8]
    assert [str(rule.settings[0].source) for rule in spec.rules] == [
        "rule 1 of other.yaml (other.yaml:2)",
        "rule 1 (spec.yaml:5)",
    ]
    assert spec.replication.seeds == (0, 1, 2)  # of the preset


def test_a_file_that_two_others_extend_counts_once(load: Load, write_spec: Callable[..., Path]) -> None:
    write_spec("settings: {training.epochs: 1}\nmethods: {a: {}}\n", "base.yaml")
    write_spec("extends: base.yaml\nsettings: {training.epochs: 2}\n", "left.yaml")
    write_spec("extends: base.yaml\nsettings: {embedding_dim: 2}\n", "right.yaml")
    spec = load("study: s\nextends: [left.yaml, right.yaml]\n")
    assert [each.value for each in spec.base if each.key == "training.epochs"] == [1, 2]


def test_extended_files_are_found_beside_the_file_that_names_them(
    tmp_path: Path, write_spec: Callable[..., Path]
) -> None:
    (tmp_path / "deep").mkdir()
    write_spec("methods: {a: {}}\n", "deep/base.yaml")
    write_spec("study: s\nextends: base.yaml\n", "deep/spec.yaml")
    assert [method.name for method in load_spec("deep/spec.yaml").methods] == ["a"]


def test_datasets_have_names_of_their_own(load: Load, write_spec: Callable[..., Path]) -> None:
    write_spec("datasets: {birds: {name: image_folder, path: a.zip, image_size: 32}}\n", "base.yaml")
    spec = load(
        "study: s\nextends: base.yaml\nmethods: {a: {}}\n"
        "datasets: {birds: {image_size: 64}, small: {name: glyphs, classes: 8}}\n"
        "compare: {dataset: [birds, small, glyphs]}\n"
    )
    values = [{each.key: each.value for each in value.settings} for value in spec.axes[0].values]
    assert values == [
        {"dataset.name": "image_folder", "dataset.path": "a.zip", "dataset.image_size": 64, "dataset.label": "birds"},
        {"dataset.name": "glyphs", "dataset.classes": 8, "dataset.label": "small"},
        {"dataset.name": "glyphs"},
    ]
    assert [value.label for value in spec.axes[0].values] == ["birds", "small", "glyphs"]


def test_axes_of_whole_parts_have_readable_labels(load: Load) -> None:
    spec = load(
        "study: s\nmethods: {a: {}}\ncompare:\n"
        "  loss: [norm_softmax, {name: norm_softmax, scale: 10}]\n"
        "  training.clip_norm: [null, 1.0]\n"
        "  augmentation.crop_scale: [[0.5, 1], [1, 1]]\n"
    )
    labels = [[value.label for value in axis.values] for axis in spec.axes]
    assert labels == [["norm_softmax", "norm_softmax(scale=10)"], ["none", 1.0], ["[0.5, 1]", "[1, 1]"]]


def test_seeds_and_folds(load: Load) -> None:
    spec = load("study: s\nmethods: {a: {}}\nreplicates: {seeds: [3, 5], folds: 3}\n")
    assert (spec.replication.seeds, spec.replication.folds) == ((3, 5), (0, 1, 2))
    assert [(each.key, each.value) for each in spec.base] == [("protocol.validation_folds", 3)]
    given = load("study: s\nmethods: {a: {}}\nreplicates: {folds: 3}\nprotocol: {validation_folds: 5}\n")
    assert [each.value for each in given.base] == [3, 5]  # what is written wins over what follows
    one = load("study: s\nmethods: {a: {}}\nreplicates: {folds: 1}\n")
    assert one.base == ()


def test_the_confirm_stage_is_another_place_for_seeds_and_refit(load: Load) -> None:
    spec = load(
        "study: s\nextends: fast_cpu\nmethods: {a: {tune: {loss.scale: [1, 2]}}}\n"
        "stages: {tune: {trials: 9, seeds: [100, 101], scheduler: {ray: asha}}, confirm: {seeds: 8, refit: true}}\n"
    )
    assert spec.replication.seeds == tuple(range(8))
    assert [each.value for each in spec.base if each.key == "protocol.refit"] == [True]
    assert spec.stages.tune is not None
    assert (spec.stages.tune.trials, spec.stages.tune.window) == (9, 8)


def test_overrides_reach_every_key(load: Load) -> None:
    spec = load(
        "study: s\nmethods: {a.b: {loss: proxy_nca}, c: {}}\ncompare: {synthesis: [none], embedding_dim: [8, 16]}\n"
        "replicates: {seeds: 3}\nclaims: [c > a.b on map_at_r]\nexclude: [{method: c}]\n",
        "replicates.seeds=[7]",
        "settings.training.epochs=2",
        "training.batch_size=32",
        "optimizer.lr=1e-4",
        "compare.embedding_dim=[4]",
        'methods."a.b".loss.scale=5',
        "methods.c.tune.loss.scale=[1, 2]",
        "resources.gpu=1",
        "claims=[]",
        "exclude=[]",
        "rules=[{when: {method: c}, set: {embedding_dim: 2}}]",
        "study=other",
        "keep.weights=selected",
    )
    assert spec.study == "other"
    assert spec.replication.seeds == (7,)
    assert [(each.key, each.value, str(each.source)) for each in spec.base] == [("training.epochs", 2, "--set")]
    assert [(each.key, each.value) for each in spec.overrides] == [
        ("training.batch_size", 32),
        ("optimizer.lr", 1e-4),
        ("keep.weights", "selected"),
    ]
    assert [value.label for value in spec.axes[1].values] == [4]
    assert settings(spec, "a.b") == {"loss.name": "proxy_nca", "loss.scale": 5}
    assert list(spec.methods[1].tune) == ["loss.scale"]
    assert spec.resources.gpu == 1
    assert (spec.claims, spec.exclude) == ((), ())
    assert [rule.settings[0].value for rule in spec.rules] == [2]


def test_an_axis_or_method_of_an_extended_file_can_be_taken_away(load: Load, write_spec: Callable[..., Path]) -> None:
    write_spec("methods: {a: {}, b: {}}\ncompare: {embedding_dim: [1, 2], loss.scale: [3]}\n", "base.yaml")
    spec = load("study: s\nextends: base.yaml\ncompare: {embedding_dim: null}\n", "methods.b=null")
    assert [axis.key for axis in spec.axes] == ["loss.scale"]
    assert [method.name for method in spec.methods] == ["a"]


def test_claims_find_names_that_have_signs(load: Load) -> None:
    spec = load("study: s\nmethods: {a > b: {}, c on d: {}}\nclaims: [a > b > c on d on recall_at_1]\n")
    assert [(claim.better, claim.worse, claim.metric) for claim in spec.claims] == [("a > b", "c on d", "recall_at_1")]


def test_memory_is_a_size(load: Load) -> None:
    assert load("study: s\nmethods: {a: {}}\nresources: {memory: 1.5GB}\n").resources.memory == 1_500_000_000
    assert load("study: s\nmethods: {a: {}}\nresources: {memory: 2GiB}\n").resources.memory == 2**31


def test_plugins_bring_parts_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainables.losses.registry.LOSSES", LOSSES)
    plugin = tmp_path / "my_spec_plugin.py"
    plugin.write_text(
        "from typing import ClassVar, Literal\n"
        "from trainables.losses import LOSSES, LossConfig\n"
        "class Mine(LossConfig):\n"
        "    name: Literal['mine'] = 'mine'\n"
        "    power: float = 2.0\n"
        "    implementation: ClassVar[str] = 'my_spec_plugin:mine'\n"
        "LOSSES['mine'] = Mine\n"
    )
    spec_file = tmp_path / "spec.yaml"
    spec_file.write_text("study: s\nmethods: {a: {loss: {name: mine, power: 3}}}\n")
    try:
        with pytest.raises(SpecError, match="unknown loss 'mine'"):
            load_spec(spec_file)
        spec = load_spec(spec_file, plugins=[plugin])
        assert settings(spec, "a") == {"loss.name": "mine", "loss.power": 3}
        assert spec.plugins == (plugin,)
        load_spec(spec_file, plugins=[plugin])  # a second time changes nothing
    finally:
        LOSSES.pop("mine", None)


def test_plugins_that_do_not_load(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such file"):
        load_spec("spec.yaml", plugins=[tmp_path / "absent.py"])
    broken = tmp_path / "broken_spec_plugin.py"
    broken.write_text("1 / 0\n")
    with pytest.raises(ConfigError, match="ZeroDivisionError: division by zero"):
        load_spec("spec.yaml", plugins=[broken])
    taken = tmp_path / "json.py"
    taken.write_text("")
    with pytest.raises(ConfigError, match="rename the file"):
        load_spec("spec.yaml", plugins=[taken])
