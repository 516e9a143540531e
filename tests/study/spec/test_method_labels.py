"""`label`: what tables call a method. It changes no run, and no two rows have the same."""

from collections.abc import Callable
from pathlib import Path

import pytest

from study.plan import build_plan
from study.spec import SpecError, load_spec
from study.spec.schema import json_schema

SPEC = """
study: s
methods:
  a: {loss: norm_softmax%s}
  b: {extends: a, baseline: a%s}
compare: {dataset: [glyphs]}
settings: {backbone: {name: conv4, width: 4}, embedding_dim: 8, training.epochs: 1}
"""
Write = Callable[..., Path]


def test_labels_are_recorded_and_change_no_run(write_spec: Write, tmp_path: Path) -> None:
    plain, labelled = (
        build_plan(load_spec(write_spec(SPEC % labels)), cache=tmp_path)
        for labels in (("", ""), (", label: 'Norm-SoftMax, s = 23'", ""))
    )
    assert labelled.record()["methods"] == [
        {"name": "untrained", "baseline": None},
        {"name": "a", "baseline": None, "label": "Norm-SoftMax, s = 23"},
        {"name": "b", "baseline": "a"},  # not inherited
    ]
    assert list(plain.runs) == list(labelled.runs)
    assert all("label" not in method for method in plain.record()["methods"])
    assert json_schema()["$defs"]["method"]["properties"]["label"]["anyOf"][0]["type"] == "string"


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (", label: b", "", "methods.b.label: tables would call 'a' by the same name; choose another label"),
        (", label: x", ", label: x", "methods.b.label: tables would call 'a' by the same name"),
        (", label: untrained", "", "methods.a.label: tables would call 'untrained' by the same name"),
        (", label: ' '", "", "methods.a.label: "),
        (", label: [x]", "", "methods.a.label: "),
        (", lable: x", "", "unknown key 'lable'; did you mean 'label'?"),
    ],
)
def test_labels_that_are_refused(first: str, second: str, message: str, write_spec: Write) -> None:
    with pytest.raises(SpecError, match="label") as refused:
        load_spec(write_spec(SPEC % (first, second)))
    assert message in str(refused.value)
