"""YAML as plain data with line numbers; nothing in it can run code."""

import math
from pathlib import Path

import pytest

from study.spec.document import At, Document, parse, read_document
from study.spec.errors import Place, SpecError


def data(text: str) -> object:
    return parse(text, file="x.yaml")[0]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("6.0e-4", 6e-4),
        ("-3E+2", -300.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("12", 12),
        ("010", 10),
        ("0x1f", 31),
        ("true", True),
        ("~", None),
        ("yes", "yes"),
        ("off", "off"),
        ("12:30", "12:30"),
        ("2020-01-01", "2020-01-01"),
        ("1_000", "1_000"),
        ("'1e-4'", "1e-4"),
        (".inf", math.inf),
    ],
)
def test_scalars_follow_yaml_1_2(text: str, value: object) -> None:
    found = data(f"key: {text}")
    assert found == {"key": value}
    assert type(found["key"]) is type(value)  # type: ignore[index]


def test_every_key_and_item_has_its_line() -> None:
    _, lines = parse("a:\n  b.c: 1\n  d:\n    - 1\n    - {e: 2}\n", file="x.yaml")
    assert lines == {
        ("a",): 1,
        ("a", "b.c"): 2,
        ("a", "d"): 3,
        ("a", "d", 0): 4,
        ("a", "d", 1): 5,
        ("a", "d", 1, "e"): 5,
    }


def test_a_place_falls_back_to_the_nearest_key_above() -> None:
    document = Document({}, "x.yaml", {("a",): 3})
    assert (At(document) / "a" / "b" / 2).place == Place("x.yaml", 3)
    assert (At(document) / "z").place == Place("x.yaml")
    assert (At(document) / "a" / "b" / 2 / "c").key == "a.b[2].c"


@pytest.mark.parametrize(
    ("text", "line", "fragment"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, "stands twice, first on line 1"),
        ("a: {b: 1,\n b: 2}\n", 2, "a.b: stands twice, first on line 1"),
        ("a:\n  1: x\n", 2, "is no text and cannot be a key"),
        ("a: [1, 2\nb: 3\n", 2, "not valid YAML"),
        ("a: b: c\n", 1, "not valid YAML"),
        ("a: 1\n---\nb: 2\n", 2, "single document"),
        ("a: *nowhere\n", 1, "undefined alias"),
        ("a: !!python/object/apply:os.system ['true']\n", 1, "a spec holds plain values only"),
        ("a: !!set {b, c}\n", 1, "a spec holds plain values only"),
        ("a: !!python/name:os.system x\n", 1, "a spec holds plain values only"),
        ("a: !!int twelve\n", 1, "is no value of the tag"),
        ("a: &a [*a]\n", 1, "too large or too deeply nested"),
    ],
)
def test_what_is_no_plain_yaml_is_refused(text: str, line: int, fragment: str) -> None:
    with pytest.raises(SpecError, match=fragment) as caught:
        data(text)
    assert caught.value.problems[0].place == Place("x.yaml", line)


def test_aliases_of_aliases_cannot_fill_the_memory() -> None:
    layers = "\n".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]" for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    with pytest.raises(SpecError, match="too large"):
        data(f"a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n{layers}\n")


@pytest.mark.parametrize(
    ("content", "fragment"),
    [
        (b"", "is empty"),
        (b"# nothing but a comment\n", "is empty"),
        (b"- a\n- b\n", "should be a mapping .* found a list"),
        (b"just text\n", "should be a mapping .* found 'just text'"),
        (b"study: \xff\xfe\n", "is not UTF-8 text"),
        (b"study: \x00\n", "not valid YAML"),
    ],
)
def test_files_that_are_no_spec(tmp_path: Path, content: bytes, fragment: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(content)
    with pytest.raises(SpecError, match=fragment):
        read_document(path, file="x.yaml")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"x\.yaml: cannot read the file: No such file"):
        read_document(tmp_path / "x.yaml", file="x.yaml")
    with pytest.raises(SpecError, match="cannot read the file: Is a directory"):
        read_document(tmp_path, file="x.yaml")
