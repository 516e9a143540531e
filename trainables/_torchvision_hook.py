"""Lets torchvision import where its compiled operators do not match the installed torch (CPU torch, CUDA torchvision).

Only detection operators and torchvision's own image codecs are missing then; dml-study uses neither. Where the
compiled library loads, the hook changes nothing.
"""

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

_OPERATORS = ("nms", "qnms")
_kept: list[Any] = []  # torch drops the definitions together with the Library object


class _Finder(importlib.abc.MetaPathFinder):
    """Prepares the operators the moment `torchvision` is first imported, and not earlier: torch is slow to load."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != "torchvision":
            return None
        sys.meta_path.remove(self)
        spec = importlib.machinery.PathFinder.find_spec(fullname, path)
        if spec is not None and spec.submodule_search_locations:
            _define_missing_operators(Path(spec.submodule_search_locations[0]))
        return spec


def install() -> None:
    """Adds the finder once per process; called by `trainables/__init__.py`, so Ray's workers get it too."""
    if "torchvision" in sys.modules or any(isinstance(finder, _Finder) for finder in sys.meta_path):
        return
    sys.meta_path.insert(0, _Finder())


def _define_missing_operators(package: Path) -> None:
    import torch

    library = next(package.glob("_C*.so"), None)
    if library is not None:
        try:
            torch.ops.load_library(str(library))  # type: ignore[no-untyped-call]
            return
        except OSError:
            pass  # built for another torch: declare what its Python part registers against
    fragment = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for operator in _OPERATORS:
        if not hasattr(torch.ops.torchvision, operator):
            fragment.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")  # type: ignore[no-untyped-call]
    _kept.append(fragment)
