"""The JSON Schema for editors, the presets and the starter spec."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from study.plan import build_plan
from study.spec import json_schema, load_spec, starter
from study.spec.chain import presets
from study.spec.document import parse
from study.spec.starter import EXAMPLE

SMALL = """\
study: synthesis-ratio
extends: fast_cpu
methods:
  norm-softmax:      {loss: norm_softmax}
  norm-softmax + PS: {loss: norm_softmax, synthesis: proxy_synthesis, baseline: norm-softmax}
compare:
  dataset: [glyphs]
  synthesis.ratio: [0.25, 0.5, 1.0]
  synthesis.mixup_alpha: [0.2, 0.4, 1.0]
replicates: {seeds: 3}
settings: {backbone: conv4, embedding_dim: 64, training.epochs: 20, training.batch_size: 128}
resources: {cpu: 1, gpu: auto, gpu_memory: 10GiB}
"""
PAPER = """\
study: ps-table-6
extends: fast_cpu
datasets:
  cub200: {name: image_folder, path: cub.zip}
  sop:    {name: image_folder, path: sop.zip}
methods:
  norm-softmax: {loss: {name: norm_softmax, scale: 23}}
  proxy-nca:    {loss: {name: proxy_nca, scale: 12}}
  "{m} + PS":   {for: {m: [norm-softmax, proxy-nca]}, extends: "{m}", baseline: "{m}", synthesis: proxy_synthesis,
                 tune: {synthesis.ratio: [0.25, 0.5, 1.0],
                        synthesis.mixup_alpha: {distribution: loguniform, min: 0.05, max: 4}}}
compare: {dataset: [cub200, sop]}
rules:
  - {when: {dataset: sop}, set: {optimizer.lr: 6.0e-4}}
exclude: [{dataset: sop, method: proxy-nca}]
stages:
  tune:    {sampler: tpe, trials: 50, seeds: [100, 101, 102], scheduler: asha}
  confirm: {seeds: 8, refit: true}
claims: ["norm-softmax + PS > norm-softmax on map_at_r"]
budget: {gpu_hours: 120}
"""


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def data(text: str) -> Any:
    return parse(text, file="x.yaml")[0]


@pytest.mark.parametrize("text", [SMALL, PAPER, *(path.read_text() for path in presets().values())])
def test_right_specs_fit_the_schema(validator: jsonschema.Draft202012Validator, text: str) -> None:
    assert [error.message for error in validator.iter_errors(data(text))] == []


@pytest.mark.parametrize(
    "line",
    [
        "metods: {}",
        "settings: {training.epoch: 3}",
        "settings: {training: {epoch: 3}}",
        "settings: {training.epochs: many}",
        "settings: {loss: norm_sofmax}",
        "settings: {loss: {name: norm_softmax, margin: 3}}",
        "protocol: {select_by: recall}",
        "keep: {weights: all}",
        "methods: {a: {los: norm_softmax}}",
        "methods: {a: {tune: {loss.scale: {distribution: unifrom, min: 1, max: 2}}}}",
        "compare: {synthesis.ratoi: [1]}",
        "compare: {synthesis.ratio: [-1]}",
        "compare: {synthesis.ratio: []}",
        "rules: [{when: {dataset: a}}]",
        "rules: [{when: {datset: a}, set: {training.epochs: 3}}]",
        "exclude: [{methd: a}]",
        "replicates: {seeds: [0, 0]}",
        "resources: {gpu: -1}",
        "resources: {gpu: automatic}",
        "resources: {gpu_memory: -1}",
        "stages: {tune: {scheduler: {ray: foo}}}",
    ],
)
def test_wrong_specs_do_not_fit(validator: jsonschema.Draft202012Validator, line: str) -> None:
    assert not validator.is_valid(data(f"study: s\n{line}\n"))


def test_the_schema_explains_itself() -> None:
    schema = json_schema()
    assert "what is compared" in schema["description"]
    assert "Synthetic rows per real row" in json.dumps(schema["$defs"]["synthesis.ratio"])
    names = {
        option.get("const"): option["description"] for option in schema["$defs"]["loss"]["anyOf"] if "const" in option
    }
    assert names["proxy_anchor"].startswith("Proxy Anchor: every proxy is an anchor")


def test_the_starter_is_a_whole_study(tmp_path: Path, validator: jsonschema.Draft202012Validator) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(starter("mine"))
    assert validator.is_valid(data(path.read_text()))
    plan = build_plan(load_spec(path), resolve_data=False)
    assert plan.study == "mine"
    assert (plan.counts.methods, plan.counts.cells, plan.counts.runs) == (3, 6, 18)
    assert plan.warnings == ()


def test_what_the_starter_comments_out_works_too(tmp_path: Path) -> None:
    lines = []
    for line in EXAMPLE.read_text().splitlines():
        bare = line.lstrip()
        is_yaml = bare.startswith("# ") and bare[2:].lstrip().startswith(
            ("- {", '"{m}', "rules:", "exclude:", "claims:", "birds", "datasets:", "optimizer:")
        )
        lines.append(line.replace("# ", "", 1) if is_yaml else line)
    path = tmp_path / "all.yaml"
    path.write_text(
        "\n".join(lines).replace("norm-softmax, proxy-anchor]", "norm-softmax]").replace('"{m} + PS"', '"{m} + more"')
    )
    spec = load_spec(path)
    assert [method.name for method in spec.methods] == ["norm-softmax", "norm-softmax + PS", "norm-softmax + more"]
    assert (len(spec.rules), len(spec.exclude), len(spec.claims)) == (1, 1, 1)


@pytest.mark.parametrize(("name", "study"), [("a study!", "a study"), ("???", "my-study"), ("x/y", "x-y")])
def test_names_that_cannot_be_are_made_to_fit(name: str, study: str) -> None:
    assert f"\nstudy: {study}\n" in starter(name)
