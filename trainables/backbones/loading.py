"""Reads a state dict from a file into an architecture, and says what does not fit."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from trainables.errors import DataError

_CLASSIFIER = ("fc.", "classifier.", "aux1.", "aux2.")
_PARALLEL = "module."
_COUNTER = "num_batches_tracked"
"""Old files lack batch norm's step counters; nothing here depends on them."""
_SHOWN = 5


def load_weights(module: nn.Module, path: Path, *, file_key: Callable[[str], str | None] | None = None) -> None:
    """Loads a torch file with a state dict, bare or under the key "state_dict", into the module.

    Half-precision values become float32. Keys of a classifier (`fc.`, `classifier.`, GoogLeNet's `aux1.`, `aux2.`) are
    left out, the prefix `module.` of data-parallel training and a leading axis of one (ports of Caffe models) are
    taken off; everything else has to fit exactly.

    Args:
        file_key: the module's name for a key of the file, None to leave it out; takes the place of the rule above.

    Raises:
        DataError: no such file, not a torch file, or keys or shapes that differ.
    """
    expected = module.state_dict()
    given = _squeezed(_renamed(_state_dict(path), file_key or _unless_classifier), expected)
    problems = [
        *_listed("missing", (key for key in expected if key not in given and not key.endswith(_COUNTER))),
        *_listed("not known", (key for key in given if key not in expected)),
        *_listed("of another shape", _other_shapes(given, expected)),
    ]
    if problems:
        raise DataError(f"weights file {path} does not fit this backbone: {'; '.join(problems)}")
    # The checks above are the strict ones; torch's own would insist on the counters.
    module.load_state_dict({key: _full_precision(value) for key, value in given.items()}, strict=False)


def _state_dict(path: Path) -> Mapping[str, Tensor]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise DataError(f"weights file {path} does not exist") from error
    except Exception as error:  # unpickling damaged or foreign bytes raises whatever it meets first
        raise DataError(
            f"weights file {path} cannot be read as a torch file with tensors only ({_first_line(error)}); "
            "save a state dict with torch.save(model.state_dict(), path)"
        ) from error
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if not _is_state_dict(content):
        raise DataError(f"weights file {path} holds no state dict; save one with torch.save(model.state_dict(), path)")
    return content  # type: ignore[no-any-return]


def _is_state_dict(content: Any) -> bool:
    return (
        isinstance(content, Mapping)
        and bool(content)
        and all(isinstance(key, str) and isinstance(value, Tensor) for key, value in content.items())
    )


def _unless_classifier(key: str) -> str | None:
    return None if key.startswith(_CLASSIFIER) else key


def _renamed(state: Mapping[str, Tensor], file_key: Callable[[str], str | None]) -> dict[str, Tensor]:
    if all(key.startswith(_PARALLEL) for key in state):
        state = {key.removeprefix(_PARALLEL): value for key, value in state.items()}
    names = {key: file_key(key) for key in state}
    return {name: state[key] for key, name in names.items() if name is not None}


def _squeezed(given: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    def is_wrapped(key: str, value: Tensor) -> bool:
        return key in expected and value.shape == (1, *expected[key].shape)

    return {key: value.squeeze(0) if is_wrapped(key, value) else value for key, value in given.items()}


def _full_precision(value: Tensor) -> Tensor:
    return value.float() if value.is_floating_point() else value


def _other_shapes(given: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> Iterable[str]:
    for key in given.keys() & expected.keys():
        if given[key].shape != expected[key].shape:
            yield f"{key} {list(given[key].shape)} instead of {list(expected[key].shape)}"


def _listed(kind: str, items: Iterable[str]) -> list[str]:
    """`["3 keys missing: a, b, c"]`, or nothing for no items."""
    names = sorted(items)
    if not names:
        return []
    more = ", ..." if len(names) > _SHOWN else ""
    return [f"{len(names)} key{'s' if len(names) > 1 else ''} {kind}: {', '.join(names[:_SHOWN])}{more}"]


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
