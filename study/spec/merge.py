"""What several files of one spec say together: later files win, key by key."""

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel

from study.spec.document import At, Document
from study.spec.errors import Place, Problems
from study.spec.model import ConfirmStage, SpecFile, Stages, TuneStage
from study.spec.overrides import LAYER
from study.spec.settings import Aliases, Layer, Setting
from study.spec.spec import Replication

Files = list[tuple[Document, SpecFile]]
"""Extended files first, then the spec itself, then what the command line adds."""

Model = TypeVar("Model", bound=BaseModel)


def merged(model: type[Model], pieces: Sequence[Model]) -> Model:
    """One value from several, each key from the last piece that sets it."""
    values = {key: getattr(piece, key) for piece in pieces for key in piece.model_fields_set}
    return model().model_copy(update=values)


def last(files: Files, key: str, *, default: Any) -> Any:
    """A key's value in the last file that has it."""
    values = [getattr(file, key) for _, file in files if key in file.model_fields_set]
    return values[-1] if values else default


def place_of(files: Files, *path: str) -> Place:
    """Where a key stands in the last file that has it; the spec itself where none has."""
    for document, _ in reversed(files):
        if path in document.lines or (document.layer == LAYER and path[0] in document.data):
            return document.place(path)
    return files[-2][0].place(path)


def base_settings(files: Files, aliases: Aliases, problems: Problems) -> tuple[Setting, ...]:
    """Settings for all methods, in the order in which they apply."""
    return tuple(setting for document, file in files for setting in _of_file(document, file, aliases, problems))


def _of_file(document: Document, file: SpecFile, aliases: Aliases, problems: Problems) -> Iterator[Setting]:
    top = At(document)
    yield from _implied_folds(top, file, aliases, problems)
    pieces: list[tuple[dict[str, Any], At]] = [
        ({"protocol": file.protocol, "keep": file.keep}, top),
        (file.settings, top / "settings"),
    ]
    if file.stages.confirm is not None and file.stages.confirm.refit is not None:
        pieces.append(({"protocol.refit": file.stages.confirm.refit}, top / "stages" / "confirm" / "refit"))
    own = document.layer in ("", LAYER)
    yield from Layer(document.layer or "settings", aliases, problems, must_apply=own).settings(*pieces)


def _implied_folds(top: At, file: SpecFile, aliases: Aliases, problems: Problems) -> tuple[Setting, ...]:
    """`folds: n` cuts the training classes into n blocks, unless the same file says otherwise."""
    count = top.document.data.get("replicates", {}).get("folds") if file.replicates.folds != (0,) else None
    if not isinstance(count, int):
        return ()
    layer = Layer("replicates.folds", aliases, problems)
    return layer.value("protocol", ("validation_folds",), count, top / "replicates" / "folds")


def replication(files: Files) -> Replication:
    """Seeds and folds of the last file that has them; `stages.confirm.seeds` is another place for seeds."""
    seeds: tuple[int, ...] = (0,)
    folds: tuple[int, ...] = (0,)
    seeds_place = folds_place = place_of(files, "replicates")
    for document, file in files:
        confirm = file.stages.confirm
        if "seeds" in file.replicates.model_fields_set:
            seeds, seeds_place = file.replicates.seeds, document.place(("replicates", "seeds"))
        if "folds" in file.replicates.model_fields_set:
            folds, folds_place = file.replicates.folds, document.place(("replicates", "folds"))
        if confirm is not None and confirm.seeds is not None:
            seeds, seeds_place = confirm.seeds, document.place(("stages", "confirm", "seeds"))
    rules = [file.replicates.until_settled for _, file in files if "until_settled" in file.replicates.model_fields_set]
    return Replication(seeds, folds, seeds_place, folds_place, rules[-1] if rules else None)


def stages(files: Files) -> Stages:
    """Both stages, each key from the last file that has it."""
    tune = [file.stages.tune for _, file in files if file.stages.tune is not None]
    confirm = [file.stages.confirm for _, file in files if file.stages.confirm is not None]
    return Stages(
        tune=merged(TuneStage, tune) if tune else None,
        confirm=merged(ConfirmStage, confirm) if confirm else None,
    )
