"""A YAML file as plain data that remembers on which line every key stands. Builds scalars, lists, mappings; no objects.

Scalars follow YAML 1.2: `1e-4` is a number, `no` and `12:30` are text, and a date is text.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from study.spec.errors import Place, Problem, SpecError

Path_ = tuple[str | int, ...]

_TAG = "tag:yaml.org,2002:"
_INT = re.compile(r"^(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$")
_FLOAT = re.compile(
    r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
)
_BOOL = re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$")
_NULL = re.compile(r"^(?:~|null|Null|NULL|)$")
_MAX_NODES = 200_000  # aliases of aliases grow exponentially


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Composes nodes; its own resolvers replace those of YAML 1.1."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012


for _name, _pattern, _first in (
    ("null", _NULL, ["~", "n", "N", ""]),
    ("bool", _BOOL, list("tTfF")),
    ("int", _INT, list("-+0123456789")),
    ("float", _FLOAT, list("-+.0123456789")),
):
    _Loader.add_implicit_resolver(_TAG + _name, _pattern, _first)


@dataclass(frozen=True)
class Document:
    """One file of a spec (or what the command line adds to it).

    Attributes:
        data: the file's content.
        lines: line of every key and list item, by its path from the top.
        file: name that messages show.
        folder: where relative paths in the file start.
        layer: name of the file where it is only extended ("preset fast_cpu"), empty for the spec itself.
    """

    data: dict[str, Any]
    file: str
    lines: dict[Path_, int] = field(default_factory=dict, repr=False)
    folder: Path = Path()
    layer: str = ""

    def place(self, path: Path_) -> Place:
        """Line of a key, or of the nearest key above it."""
        for length in range(len(path), 0, -1):
            line = self.lines.get(path[:length])
            if line is not None:
                return Place(self.file, line)
        return Place(self.file)


@dataclass(frozen=True)
class At:
    """A position in a document: `At(document) / "methods" / "x"`."""

    document: Document
    path: Path_ = ()

    def __truediv__(self, key: str | int) -> "At":
        return At(self.document, (*self.path, key))

    @property
    def place(self) -> Place:
        return self.document.place(self.path)

    @property
    def key(self) -> str:
        text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.path)
        return text.removeprefix(".")


def leaves(data: Mapping[str, Any], at: At) -> Iterator[tuple[str, Any, At]]:
    """Dotted keys of nested mappings, their values, and where they stand; `loss.name` is `loss`."""
    for key, value in data.items():
        if isinstance(value, dict):
            for inner, leaf, here in leaves(value, at / key):
                yield f"{key}.{inner}".removesuffix(".name"), leaf, here
        else:
            yield key.removesuffix(".name"), value, at / key


def read_document(path: Path, *, file: str, layer: str = "") -> Document:
    """Reads a spec file.

    Raises:
        SpecError: the file is absent, unreadable, empty, not YAML, not a mapping, or has a key twice.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not UTF-8 text"
        raise SpecError([Problem(Place(file), "", f"cannot read the file: {reason}")]) from error
    data, lines = parse(text, file=file)
    if data is None:
        raise SpecError([Problem(Place(file), "", "is empty; `dml-study init` writes a spec to start from")])
    if not isinstance(data, dict):
        found = "a list" if isinstance(data, list) else f"'{data}'"
        raise SpecError([Problem(Place(file), "", f"should be a mapping such as 'study: my-study', found {found}")])
    return Document(data, file, lines, path.parent, layer)


def parse(text: str, *, file: str) -> tuple[Any, dict[Path_, int]]:
    """Data and line numbers of YAML text.

    Raises:
        SpecError: not YAML, a key that is no text or stands twice, or a tag that asks for an object.
    """
    try:
        node = yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        reason = ", ".join(filter(None, (getattr(error, "context", ""), getattr(error, "problem", ""))))
        place = Place(file, mark.line + 1 if mark else None)
        raise SpecError([Problem(place, "", f"is not valid YAML: {reason or str(error).splitlines()[0]}")]) from error
    except RecursionError as error:
        raise SpecError([Problem(Place(file), "", "is nested too deeply")]) from error
    return _Reader(file).read(node)


class _Reader:
    def __init__(self, file: str) -> None:
        self.file = file
        self.lines: dict[Path_, int] = {}
        self.problems: list[Problem] = []
        self.nodes = 0

    def read(self, node: yaml.Node | None) -> tuple[Any, dict[Path_, int]]:
        data = None if node is None else self.value(node, ())
        if self.problems:
            raise SpecError(self.problems)
        return data, self.lines

    def value(self, node: yaml.Node, path: Path_) -> Any:
        self.nodes += 1
        if self.nodes > _MAX_NODES or len(path) > 50:
            raise SpecError([Problem(Place(self.file, _line(node)), "", "is too large or too deeply nested")])
        if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
            return self.mapping(node, path)
        if isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
            return [self.item(child, (*path, index)) for index, child in enumerate(node.value)]
        return self.scalar(node, path)

    def item(self, node: yaml.Node, path: Path_) -> Any:
        self.lines[path] = _line(node)
        return self.value(node, path)

    def mapping(self, node: yaml.MappingNode, path: Path_) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self.key(key_node, path)
            here = (*path, key)
            if key in result:
                self.problem(key_node, here, f"stands twice, first on line {self.lines[here]}; keep one")
                continue
            self.lines[here] = _line(key_node)
            result[key] = self.value(value_node, here)
        return result

    def key(self, node: yaml.Node, path: Path_) -> str:
        if isinstance(node, yaml.ScalarNode) and node.tag == _TAG + "str":
            return str(node.value)
        text = str(node.value) if isinstance(node, yaml.ScalarNode) else "a list or mapping"
        self.problem(node, (*path, text), "is no text and cannot be a key; put it in quotes")
        return text

    def scalar(self, node: yaml.Node, path: Path_) -> Any:
        build = _SCALARS.get(node.tag.removeprefix(_TAG))
        if build is None:
            self.problem(node, path, f"has the tag '{node.tag}'; a spec holds plain values only")
            return None
        try:
            return build(node.value)
        except ValueError:
            self.problem(node, path, f"'{str(node.value)[:40]}' is no value of the tag '{node.tag}'")
            return None

    def problem(self, node: yaml.Node, path: Path_, message: str) -> None:
        key = At(Document({}, self.file), path).key
        self.problems.append(Problem(Place(self.file, _line(node)), key, message))


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _integer(text: str) -> int:
    return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))


def _float(text: str) -> float:
    return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))


_SCALARS: dict[str, Callable[[str], Any]] = {
    "str": str,
    "int": _integer,
    "float": _float,
    "bool": lambda text: text.lower() == "true",
    "null": lambda text: None,
}
