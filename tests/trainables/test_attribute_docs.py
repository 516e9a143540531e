"""Texts below fields are descriptions of the JSON Schema, and are not read before somebody asks."""

import inspect
import subprocess
import sys

from pydantic import create_model

from trainables.attribute_docs import attribute_docs
from trainables.parts import Config, Part


class Base(Config):
    width: int = 1
    """Of the base,
    in two lines."""
    bare: int = 2


class Derived(Base):
    depth: int = 3
    """Of its own."""

    def method(self) -> None:
        """Of a method."""


def test_a_class_has_the_texts_of_its_bases() -> None:
    assert attribute_docs(Derived) == {"width": "Of the base,\nin two lines.", "depth": "Of its own."}


def test_the_schema_has_them_where_nothing_else_is_said() -> None:
    class Said(Base):
        width: int = 4

    described = {name: value.get("description") for name, value in Derived.model_json_schema()["properties"].items()}
    assert described == {"width": "Of the base,\nin two lines.", "bare": None, "depth": "Of its own."}
    assert Said.model_json_schema()["properties"]["width"]["description"] == "Of the base,\nin two lines."


def test_a_class_without_source_has_none_of_its_own() -> None:
    made = create_model("Made", __base__=Part, rate=(float, 0.1))
    assert "rate" not in attribute_docs(made)


def test_nothing_reads_sources_to_plan() -> None:
    """In a process of its own: the classes of this one are made already."""
    code = (
        "import inspect\n"
        "def refused(*arguments): raise AssertionError('a source was read')\n"
        "inspect.getsource = inspect.getsourcelines = inspect.findsource = refused\n"
        "import study.plan, study.spec.model, trainables.config\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert inspect.getsource(Base)
