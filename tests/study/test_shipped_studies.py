"""Every shipped preset and study plans, says what it needs, and together they show every method."""

import re
from pathlib import Path
from typing import Any

import pytest

from study.plan import Plan, build_plan
from study.search import rehearsal
from study.spec import load_spec
from study.spec.chain import presets
from study.studies import find_spec, shipped
from trainables.errors import ConfigError
from trainables.losses.registry import LOSSES
from trainables.parts import Part
from trainables.registry import Registry
from trainables.strategies.registry import STRATEGIES
from trainables.synthesis.registry import SYNTHESES

BENCHMARKS = {"cub200", "cars196", "sop", "inshop"}
BACKBONES = {"bn_inception", "resnet18", "resnet34", "resnet50", "mobilenet_v2"}
PROTOCOLS = {"proxy_synthesis", "memvir", "proxy_anchor", "ccp", "relaxed_contrastive", "log_ratio"}
ASKS = {
    "frozen_features": ("backbone conv4 is frozen at random weights; give it a file: backbone.weights",),
    "reality_check": ("stages.tune is there, and no method has a `tune`: nothing is searched",),
}
"""What a preset leaves to the study, and says so."""
EXPECTED = re.compile(r"methods start from different embeddings: .*")
"""Students and teachers, and losses on raw and on unit embeddings, are read by distances of their own."""


@pytest.fixture(scope="module")
def plans() -> dict[str, Plan]:
    """With the cells of searches, as if each had chosen its first setting."""
    return {
        name: build_plan(load_spec(file), resolve_data=False, history=rehearsal()) for name, file in shipped().items()
    }


def header(file: Path) -> str:
    """The comment that a file starts with."""
    lines = file.read_text(encoding="utf-8").splitlines()
    end = next(number for number, line in enumerate(lines) if not line.startswith("#"))
    return " ".join(line.removeprefix("#").strip() for line in lines[:end])


@pytest.mark.parametrize("name", shipped())
def test_a_shipped_study_plans_without_doubts(name: str, plans: dict[str, Plan]) -> None:
    plan = plans[name]
    print(f"{name}: {len(plan.runs)} runs, {plan.counts.cells} cells, {plan.counts.methods} methods")
    assert plan.study == name.replace("/", "_"), "two studies of one name would share a results folder"
    assert len(plan.runs) > 1
    assert [warning for warning in plan.warnings if not EXPECTED.fullmatch(warning)] == []


@pytest.mark.parametrize("name", shipped())
def test_a_shipped_study_says_what_it_needs(name: str, plans: dict[str, Plan]) -> None:
    text = header(shipped()[name])
    configs = [cell.config for cell in plans[name].cells]
    files = {str(getattr(config.dataset, "path", "")) for config in configs} | {
        config.backbone.weights or "" for config in configs
    }
    titles = {config.dataset.title for config in configs}
    if "the four folders of the preset `benchmarks`" in text and titles == BENCHMARKS:
        files -= {str(getattr(config.dataset, "path", "")) for config in configs}
    assert len(text) > 80
    assert [file for file in sorted(files - {""}) if file not in text] == []


@pytest.mark.parametrize("name", [name for name in shipped() if name.startswith("paper/")])
def test_a_study_at_paper_scale_has_its_protocol_its_cost_and_a_gpu(name: str, plans: dict[str, Plan]) -> None:
    plan = plans[name]
    datasets = [cell.config.dataset for cell in plan.cells]
    assert {dataset.name for dataset in datasets} <= BENCHMARKS or {dataset.label for dataset in datasets} == {"pose"}
    assert {cell.config.device for cell in plan.cells} == {"cuda"}
    assert {cell.config.backbone.name for cell in plan.cells} <= BACKBONES
    assert all(cell.config.backbone.weights for cell in plan.cells)
    trained = sum(run.config.strategy.trains for run in plan.runs.values())
    trained += sum(plan.spec.tune_stage.trials * search.cell.runs_per_setting for search in plan.searches)
    assert re.search(rf"Cost: {trained} runs, about \d+ GPU hours\.", header(shipped()[name]))
    assert len(plan.methods) == 2 or any(plan.methods.values()), "several methods, and no baseline"


def test_every_registered_method_occurs_in_a_shipped_study(plans: dict[str, Plan]) -> None:
    configs = [run.config for plan in plans.values() for run in plan.runs.values()]
    losses = {config.loss.name for config in configs if config.strategy.uses_loss and config.strategy.trains}
    assert own(LOSSES) - losses == set()
    assert own(SYNTHESES) - {config.synthesis.name for config in configs} == set()
    assert own(STRATEGIES) - {config.strategy.name for config in configs} == set()


def own(registry: Registry[Any]) -> set[str]:
    """Names of the parts that come with this package; other tests may have registered more."""
    return {name for name, part in registry.items() if _is_own(part)}


def _is_own(part: type[Part]) -> bool:
    return part.__module__.startswith("trainables.")


@pytest.mark.parametrize("name", presets())
def test_a_preset_is_a_spec_to_start_from(name: str, tmp_path: Path) -> None:
    assert len(header(presets()[name])) > 80
    file = tmp_path / "spec.yaml"
    methods = "{m: {loss: {name: log_ratio}}}" if name == "log_ratio" else "{m: {loss: proxy_anchor}}"
    targets = ", target_columns: [angle]" if name == "log_ratio" else ""
    file.write_text(
        f"study: x\nextends: {name}\ndatasets: {{d: {{name: image_folder, path: d.csv{targets}}}}}\n"
        f"methods: {methods}\nsettings: {{dataset: d}}\n"
    )
    plan = build_plan(load_spec(file), resolve_data=False)
    assert plan.runs
    assert plan.warnings in ((), *((warning,) for warning in ASKS.get(name, ())))


def planned(preset: str, tmp_path: Path, *, dataset: str = "cub200") -> Any:
    """The configuration that a protocol gives a run on a benchmark."""
    file = tmp_path / f"{preset}.yaml"
    file.write_text(
        f"study: x\nextends: [{preset}, benchmarks]\nsettings: {{dataset: {dataset}}}\n"
        "methods: {m: {loss: norm_softmax}}\n"
    )
    return build_plan(load_spec(file), resolve_data=False).cells[-1].config


def test_protocols_of_papers_share_what_the_papers_share(tmp_path: Path) -> None:
    """The released codes' values, as the papers' READMEs have them."""
    synthesis, memvir = planned("proxy_synthesis", tmp_path), planned("memvir", tmp_path)
    assert (synthesis.optimizer.name, synthesis.optimizer.eps, synthesis.optimizer.lr) == ("adam", 0.01, 1e-4)
    assert memvir.optimizer == synthesis.optimizer
    assert (synthesis.training.epochs, memvir.training.epochs) == (130, 2000)
    assert (synthesis.protocol.evaluate_every, memvir.protocol.evaluate_every) == (5, 10)
    assert memvir.schedule.name == "constant"
    anchor = planned("proxy_anchor", tmp_path)
    assert (anchor.optimizer.name, anchor.optimizer.eps, anchor.training.clip_value) == ("adamw", 1e-8, 10)
    assert (anchor.training.batch_size, anchor.training.warmup_epochs, anchor.schedule.every) == (180, 1, 10)


@pytest.mark.parametrize(
    ("preset", "pooling", "batch_norm", "bias", "init"),
    [
        ("proxy_synthesis", "avg", "frozen_statistics", True, "default"),
        ("memvir", "avg", "frozen_statistics", True, "default"),
        ("proxy_anchor", "avg+max", "frozen_statistics", True, "kaiming"),
        ("ccp", "avg", "frozen", False, "xavier"),
        ("relaxed_contrastive", "avg+max", "train", True, "orthogonal"),
    ],
)
def test_protocols_have_the_networks_of_their_papers(
    preset: str, pooling: str, batch_norm: str, bias: bool, init: str, tmp_path: Path
) -> None:
    config = planned(preset, tmp_path)
    backbone = config.backbone
    assert (backbone.name, backbone.weights) == ("bn_inception", "bn_inception-52deb4733.pth")
    assert (backbone.pooling, backbone.batch_norm) == (pooling, batch_norm)
    assert (config.head.bias, config.head.init, config.head.layer_norm) == (bias, init, "none")


@pytest.mark.parametrize("preset", sorted(PROTOCOLS - {"log_ratio"}))
def test_protocols_crop_as_their_papers_do(preset: str, tmp_path: Path) -> None:
    """Training crops of the whole image, and the middle of an image whose short side is 256 pixels."""
    config = planned(preset, tmp_path)
    side = 227 if preset == "ccp" else 224
    assert (config.dataset.name, config.dataset.image_size, config.dataset.resize) == ("cub200", 352, "whole")
    assert (config.augmentation.crop_size, config.augmentation.test_crop * 256) == (side, side)
    assert config.augmentation.crop_scale == ((0.16, 1.0) if preset == "ccp" else (0.08, 1.0))


@pytest.mark.parametrize("dataset", ["sop", "inshop"])
def test_the_larger_benchmarks_are_decoded_to_fewer_pixels(dataset: str, tmp_path: Path) -> None:
    config = planned("proxy_synthesis", tmp_path, dataset=dataset).dataset
    assert (config.name, config.title, config.image_size, config.resize) == (dataset, dataset, 256, "whole")


def test_the_rate_of_proxy_synthesis_drops_once_before_epoch_50(tmp_path: Path) -> None:
    from trainables.training.schedules import step

    schedule = planned("proxy_synthesis", tmp_path).schedule
    factors = [step(schedule, epoch=epoch, epochs=130) for epoch in (0, 48, 49, 97, 98, 129)]
    assert factors == pytest.approx([1, 1, 0.1, 0.1, 0.1, 0.1])


def test_studies_at_paper_scale_go_by_their_folder() -> None:
    assert find_spec("paper/ps_table6").name == "ps_table6.yaml"
    assert set(presets()) >= PROTOCOLS


@pytest.mark.parametrize(
    ("spec", "hint"),
    [
        ("ps_table6", "did you mean 'paper/ps_table6'?"),
        ("paper/ps_table_6", "did you mean 'paper/ps_table6'?"),
        ("paper/demo", "did you mean 'demo'?"),
        ("demmo", "did you mean 'demo'?"),
        ("qqq", "at the scale of the papers, such as paper/"),
        ("paper/qqq", "known below paper/: ccp_batch, "),
        ("somewhere/qqq", "`dml-study init somewhere/qqq` writes a spec"),
    ],
)
def test_a_name_that_is_no_study_gets_the_nearest(spec: str, hint: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as error:
        find_spec(spec)
    assert hint in str(error.value)
