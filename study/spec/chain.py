"""Which files a spec consists of: itself and everything that it extends, base first."""

from pathlib import Path

from study.spec.checks import checked
from study.spec.document import At, Document, read_document
from study.spec.errors import Place, Problem, Problems, SpecError
from study.spec.model import SpecFile
from trainables.spelling import nearest

PRESETS = Path(__file__).resolve().parents[1] / "presets"


def presets() -> dict[str, Path]:
    """Shipped protocol presets by name."""
    return {path.stem: path for path in sorted(PRESETS.glob("*.yaml"))}


def read_chain(path: Path, problems: Problems) -> list[tuple[Document, SpecFile]]:
    """Reads a spec and what it extends; a file that is reached twice counts once, where it is reached first.

    Raises:
        SpecError: a file cannot be read, or extends itself.
    """
    document = read_document(path, file=str(path))
    found: dict[Path, tuple[Document, SpecFile]] = {}
    _visit(path.resolve(), document, (), found, problems)
    return list(found.values())


def _visit(
    path: Path,
    document: Document,
    below: tuple[Path, ...],
    found: dict[Path, tuple[Document, SpecFile]],
    problems: Problems,
) -> None:
    file = checked(SpecFile, document.data, At(document), problems)
    if file is None:
        raise SpecError(problems.found)
    place = document.place(("extends",))
    for name in file.extends:
        base = _find(name, document, place)
        if base.resolve() in (*below, path):
            names = " -> ".join(step.name for step in (*below, path, base))
            raise SpecError([Problem(place, "extends", f"goes round in a circle: {names}")])
        if base.resolve() not in found:
            _visit(base.resolve(), _read_base(name, base, place), (*below, path), found, problems)
    found[path] = (document, file)


def _find(name: str, document: Document, place: Place) -> Path:
    file = document.folder / name
    if name in presets() and not file.is_file():
        return presets()[name]
    if Path(name).suffix in (".yaml", ".yml") or file.is_file():
        if file.is_file():
            return file
        raise SpecError([Problem(place, "extends", f"there is no file '{name}' in {document.folder.resolve()}")])
    raise SpecError([Problem(place, "extends", f"unknown preset '{name}'; {nearest(name, dict(presets()))}")])


def _read_base(name: str, path: Path, place: Place) -> Document:
    if path.parent == PRESETS:
        return read_document(path, file=path.name, layer=f"preset {name}")
    shown = path.name if str(Path(place.file).parent) == "." else str(path)
    return read_document(path, file=shown, layer=f"extends {path.name}")
