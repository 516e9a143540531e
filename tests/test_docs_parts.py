"""Every example of docs/parts.md is planned as it stands there, and each of its cells is rehearsed on a few images."""

import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from PIL import Image

from study.plan import Plan, build_plan
from study.spec import load_spec
from trainables.backbones.build import build_backbone
from trainables.backbones.config import Conv4, MobileNetV2
from trainables.config import REGISTRIES, RunConfig
from trainables.datasets.catalog import resolve
from trainables.datasets.config import DATASETS, Glyphs
from trainables.parts import Part
from trainables.registry import Registry
from trainables.testing.benchmark_trees import TREES
from trainables.training import checkpoint
from trainables.training.data import load_run_data
from trainables.training.fit import Fit
from trainables.training.rehearsal import rehearse

ROOT = Path(__file__).resolve().parents[1]
SECTIONS = {
    "Losses": "loss",
    "Syntheses": "synthesis",
    "Strategies": "strategy",
    "Datasets": "dataset",
    "Backbones": "backbone",
    "Samplers": "sampler",
    "Optimizers": "optimizer",
    "Schedules": "schedule",
}
"""Chapters of the page, and the registries that they are about."""
SHAPES = Glyphs(classes=24, images_per_class=6, image_size=16)


@dataclass(frozen=True)
class Example:
    """A block of YAML with the headings above it."""

    chapter: str
    heading: str
    number: int
    text: str

    def __str__(self) -> str:
        return f"{self.chapter}-{self.heading}-{self.number}".replace(" ", "_")


def examples() -> list[Example]:
    chapter, heading, found = "", "", []
    pattern = re.compile(r"^## ([^\n]+)$|^### ([^\n]+)$|^```yaml\n(.+?)^```$", re.MULTILINE | re.DOTALL)
    for match in pattern.finditer((ROOT / "docs/parts.md").read_text(encoding="utf-8")):
        title, subtitle, text = match.groups()
        if text is not None:
            found.append(Example(chapter, heading, len(found), text))
        elif subtitle is not None:
            heading = subtitle
        else:
            chapter, heading = title, ""
    return found


EXAMPLES = examples()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The files that the examples name: small images with and without angles, small benchmarks, weights."""
    place = tmp_path_factory.mktemp("parts")
    rows = ["path,angle"]
    for split, label, number in [(s, c, n) for s in ("train", "test") for c in "abcdefgh" for n in range(12)]:
        path = place / "angles" / split / f"{split}_{label}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 16), (20 * number, 30 * ord(label) % 256, 90)).save(path)
        rows.append(f"{path.relative_to(place / 'angles')},{30 * number}")
    with zipfile.ZipFile(place / "birds.zip", "w") as archive:
        for path in sorted((place / "angles").rglob("*.png")):
            archive.write(path, path.relative_to(place / "angles"))
    (place / "angles/labels.csv").write_text("\n".join(rows) + "\n")
    torch.save(build_backbone(MobileNetV2(), channels=3, seed=0).body.state_dict(), place / "mobilenet_v2.pth")
    with pytest.MonkeyPatch.context() as patch:
        for name, write in TREES.items():
            benchmark: Any = DATASETS[name]
            write(place / benchmark.model_fields["path"].default, classes=8, images=6)
            patch.setattr(benchmark, "published", dict.fromkeys(benchmark.published, (48, 8)))
        yield place


@pytest.fixture
def planned(folder: Path, private_cache: Path, request: pytest.FixtureRequest) -> Plan:
    return plan_of(request.param, folder, private_cache)


@cache
def plan_of(example: Example, folder: Path, images: Path) -> Plan:
    teacher = folder / "teacher.pt"
    if not teacher.exists():
        run = tiny(RunConfig(dataset=resolve(SHAPES, search=(), cache=images)))
        weights = Fit(run, load_run_data(run, cache=images), epochs=1).weights()
        teacher.write_bytes(checkpoint.to_bytes({**weights, "config": run.model_dump_json()}, []))
    spec = folder / f"{example.number}.yaml"
    document = {"study": "example", "extends": "fast_cpu", **yaml.safe_load(example.text)}
    spec.write_text(yaml.safe_dump(document, sort_keys=False))
    return build_plan(load_spec(spec), cache=images)


def tiny(run: RunConfig) -> RunConfig:
    """The run on few and small images and a narrow network."""
    update = {
        "embedding_dim": min(8, run.embedding_dim),
        "training": run.training.model_copy(update={"batch_size": 8}),
    }
    if isinstance(run.dataset, Glyphs):
        side = 24 if run.backbone.name == "squeezenet1_0" else 16  # it pools smaller images away
        shapes = {"classes": 24, "images_per_class": 6, "image_size": side}
        update["dataset"] = run.dataset.model_copy(update=shapes)
    if isinstance(run.backbone, Conv4):
        update["backbone"] = run.backbone.model_copy(update={"width": 4})
    return run.model_copy(update=update)


def own(registry: Registry[Part]) -> list[str]:
    """Parts of the package, without those of other tests."""
    return [name for name, cls in registry.items() if cls.__module__.startswith("trainables.")]


def rehearsed(example: Example) -> Any:
    """Deep networks take seconds to be initialized; their code is that of the shallower ones."""
    marks = [pytest.mark.slow] if example.heading in ("resnet50", "resnet101") else []
    return pytest.param(example, id=str(example), marks=marks)


@pytest.mark.parametrize("planned", [rehearsed(each) for each in EXAMPLES], indirect=True)
def test_the_example_runs(planned: Plan, private_cache: Path) -> None:
    first = dict.fromkeys(cell.replicates[0].run_id for cell in planned.cells if cell.method != "untrained")
    needed = {source for run in planned.runs.values() for source in run.sources}
    sources = {run_id: tiny(planned.runs[run_id].config) for run_id in needed}
    for run_id in first:
        assert rehearse(tiny(planned.runs[run_id].config), cache=private_cache, sources=sources)
    assert planned.warnings == ()


def test_every_part_has_a_heading_a_sentence_and_an_example(folder: Path, private_cache: Path) -> None:
    named = {(SECTIONS[each.chapter], each.heading): each for each in EXAMPLES if each.chapter in SECTIONS}
    assert set(named) == {(kind, name) for kind, registry in REGISTRIES.items() for name in own(registry)}
    for (section, name), example in named.items():
        plan = plan_of(example, folder, private_cache)
        assert name in {getattr(run.config, section).name for run in plan.runs.values()}
    page = (ROOT / "docs/parts.md").read_text(encoding="utf-8")
    assert re.findall(r"^### .+\n\n(?![A-Z])", page, re.MULTILINE) == [], "headings without a sentence below"


def test_the_readme_names_every_part() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = readme.partition("### Methods, datasets, backbones")[2].partition("\n### ")[0]
    named = set(re.findall(r"`(\w+)`", table))
    assert {name for registry in REGISTRIES.values() for name in own(registry)} - named == set()
