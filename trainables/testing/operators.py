"""How many operations torch is asked for."""

from collections import Counter
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode


class Operators(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts operators in its region by name; on a GPU most of them launch a kernel.

    Not views of tensors, and not draws from generators: those are on the CPU, each from a stream of its own.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names: Counter[str] = Counter()

    @property
    def total(self) -> int:
        return self.names.total()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if not function.is_view and kwargs.get("generator") is None:
            self.names[str(function)] += 1
        return function(*args, **kwargs)
