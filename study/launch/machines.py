"""Ray for the length of a launch, started when the first run needs it and used for every stage."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from study.launch.cluster import ray_session
from study.launch.scratch import scratch_folder


class Machines:
    """A private Ray or a cluster, and a folder for what it writes."""

    def __init__(self, address: str | None, *, gpus: bool, plugins: Sequence[Path] = ()) -> None:
        """
        Args:
            address: of a Ray cluster; None starts a private local instance.
            gpus: whether a private instance looks for GPUs.
            plugins: files of `--plugin`, which a cluster gets with our code.
        """
        self._address, self._gpus, self._plugins = address, gpus, plugins
        self._stack = ExitStack()
        self._scratch: Path | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def start(self) -> Path:
        """Starts Ray, unless it runs; returns the folder.

        Raises:
            ClusterError: Ray does not start, or does not answer.
        """
        if self._scratch is None:
            scratch = self._stack.enter_context(scratch_folder())
            self._stack.enter_context(self._session(scratch))
            self._scratch = scratch
        return self._scratch

    def _session(self, scratch: Path) -> AbstractContextManager[None]:
        return ray_session(self._address, folder=scratch, gpus=self._gpus, plugins=self._plugins)
