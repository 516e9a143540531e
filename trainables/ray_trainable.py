"""The shared trainable: what Ray Tune schedules. The one module of this package that imports ray."""

import time
from pathlib import Path
from typing import Any

from ray import tune

from trainables.config import RunConfig
from trainables.errors import DmlStudyError
from trainables.ledger import Ledger
from trainables.ledger.shards import Shard
from trainables.memory import keep_freed_memory
from trainables.plugins import load_plugins
from trainables.provenance import host_name
from trainables.training.gpu_memory import free_memory, limit_memory, needed_of_gpu
from trainables.training.session import Session, SessionOptions

_REPORT_SECONDS = 1.0
"""A step trains as many epochs as fit in here: results of tiny epochs would keep the driver busier than the workers."""


class RunTrainable(tune.Trainable):  # type: ignore[misc]
    """Executes one run per trial, in an actor that is used again for the next.

    The trial's configuration holds `run` (JSON of a RunConfig), `cutoffs` (pairs of an epoch and a value) and `session`
    (ledger, study, cache, generation, checkpoint_seconds, plugins). Results go to the ledger; Tune hears of epochs and
    of the end.
    """

    def setup(self, config: dict[str, Any]) -> None:
        # Tune also calls this in actors that never step: nothing may happen here.
        self._configuration = config
        self._session: Session | None = None

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.cleanup()
        self.setup(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Trains for about a second, at least one epoch.

        An error that is not the run's own (results that cannot be written, say) ends the trial and travels to the
        driver as `error`: the run is not to blame and is due again.
        """
        try:
            return self._train()
        except DmlStudyError as error:
            self._session = None
            return {"done": True, "error": f"{error} (on {host_name()})"}

    def _train(self) -> dict[str, Any]:
        if self._session is None:
            self._session = _open_session(self._configuration)
        until = time.monotonic() + _REPORT_SECONDS
        while not self._session.done:
            self._session.step()
            if time.monotonic() >= until:
                break
        return {
            "epoch": self._session.epochs_done,
            "done": self._session.done,
            "status": self._session.status,
            "run_id": self._session.run_id,
            "gpu_memory": needed_of_gpu(),
        }

    def cleanup(self) -> None:
        """Saves an unfinished run: a stopped study continues where it was."""
        if self._session is not None:
            self._session.close()
            self._session = None
            free_memory()

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing: runs keep their own checkpoints in the ledger."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Nothing: see `save_checkpoint`."""


def _open_session(config: dict[str, Any]) -> Session:
    keep_freed_memory()
    gpus = config["resources"].get("GPU", 0.0)
    limit_memory(gpus)
    settings = config["session"]
    options = SessionOptions(
        study=settings["study"],
        cache=Path(settings["cache"]),
        generation=settings["generation"],
        checkpoint_seconds=settings["checkpoint_seconds"],
        gpus=gpus or 1.0,
    )
    load_plugins([Path(path) for path in settings["plugins"]])
    run = RunConfig.model_validate_json(config["run"])
    shard = Shard.parse(settings["shard"]) if settings.get("shard") else None
    ledger = Ledger.open(settings["ledger"], shard=shard)
    return Session(run, ledger=ledger, options=options, cutoffs=dict(config["cutoffs"]))
