"""Between Ray Tune and what suggests runs: each gets its share of a GPU, and a larger one where it was too small."""

from collections import deque
from typing import Any

from ray.tune.search import Searcher

from study.launch.cluster import demand
from study.launch.signals import StopRequest
from study.packing.packing import Packing
from trainables.errors import LedgerError
from trainables.training.gpu_memory import OUT_OF_MEMORY

_Configuration = dict[str, Any]


class PackedSearcher(Searcher):  # type: ignore[misc]
    """A run that ends out of memory is suggested again, with a larger share; only its last end is told to the other.

    Such a run goes on from its checkpoint.
    """

    def __init__(self, inner: Searcher, packing: Packing, *, stop: StopRequest) -> None:
        """
        Args:
            inner: suggests the runs.
        """
        super().__init__()
        self._inner, self._packing, self._stop = inner, packing, stop
        self._again: deque[tuple[str, _Configuration]] = deque()
        self._under_way: dict[str, tuple[str, _Configuration]] = {}

    def suggest(self, trial_id: str) -> Any:
        if self._again and not self._stop.requested:
            return self._started(trial_id, *self._again.popleft())
        suggested: Any = self._inner.suggest(trial_id)
        if isinstance(suggested, dict):
            return self._started(trial_id, trial_id, suggested)
        return None if self._may_return() else suggested  # asked again when a trial has reported

    def _started(self, trial_id: str, known_as: str, configuration: _Configuration) -> _Configuration:
        resources = self._packing.of(configuration["run_id"])
        if resources is not None:
            configuration = {**configuration, "resources": demand(resources)}
        self._under_way[trial_id] = (known_as, configuration)
        return configuration

    def _may_return(self) -> bool:
        """Whether a run under way may run out of memory and be suggested again."""
        shares = (_share(configuration) for _, configuration in self._under_way.values())
        return not self._stop.requested and any(0 < share < 1 for share in shares)

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        known_as, _ = self._under_way.get(trial_id, (trial_id, {}))
        self._inner.on_trial_result(known_as, result)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        known_as, configuration = self._under_way.pop(trial_id, (trial_id, {}))
        if configuration and result is not None:
            self._look(configuration, result)
            if result.get("status") == OUT_OF_MEMORY:
                self._again.append((known_as, configuration))
                return
        self._inner.on_trial_complete(known_as, result=result, error=error)

    def _look(self, configuration: _Configuration, result: dict[str, Any]) -> None:
        """Tune logs what a searcher raises and waits for ever; an error of the storage ends the launch."""
        run_id, status, need = configuration["run_id"], result.get("status"), result.get("gpu_memory")
        try:
            if status == OUT_OF_MEMORY:
                self._packing.enlarge(run_id, share=_share(configuration))
            elif status == "complete" and need and self._packing.of(run_id) is not None:
                self._packing.learn(run_id, need=need)
        except LedgerError as error:
            self._stop.fail(str(error))

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: the ledger knows what is due."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Tune pickles its settings to a file that is never read; a ledger cannot go there."""
        return (Searcher, ())


def _share(configuration: _Configuration) -> float:
    return float(configuration["resources"].get("GPU", 0.0))
