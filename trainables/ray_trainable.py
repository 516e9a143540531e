"""The shared trainable: what Ray Tune schedules. The one module of this package that imports ray."""

import time
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from ray import tune

from trainables.errors import DmlStudyError
from trainables.fused.group import GroupSession, Member
from trainables.ledger import Ledger
from trainables.ledger.live import worker_deaths
from trainables.ledger.shards import Shard
from trainables.memory import keep_freed_memory
from trainables.provenance import host_name
from trainables.shipped import NO_VARIABLES, adopt, cache_here, require_data, run_here
from trainables.training.cutoffs import judged, unreachable
from trainables.training.gpu_memory import free_memory, limit_memory, needed_of_gpu
from trainables.training.orders import ordered_stop
from trainables.training.session import MAX_WORKER_DEATHS, Session, SessionOptions

AnySession = TypeVar("AnySession", bound=Session)

_REPORT_SECONDS = 1.0
"""A step trains as many epochs as fit in here: results of tiny epochs would keep the driver busier than the workers."""


class RunTrainable(tune.Trainable):  # type: ignore[misc]
    """Executes one run per trial, in an actor that is used again for the next.

    Where runs train together, the configuration holds them as `members`, each with its `slot` among `size`; otherwise
    it holds `run` (JSON of a RunConfig), `cutoffs` (pairs of an epoch and a value); and always `session`
    (ledger, study, cache, data, nodes, generation, checkpoint_seconds, plugins). Results go to the ledger; Tune hears
    of epochs and of the end.

    Where a scheduler of Tune judges the run, `judge` has the key of its order to stop (`order`), which the run itself
    obeys, and whether it pauses runs (`pauses`); each evaluation is a report then. Otherwise it is None.
    """

    def setup(self, config: dict[str, Any], environment: Mapping[str, str] = NO_VARIABLES) -> None:
        # Tune also calls this in actors that never step: nothing may happen here but to the process itself.
        adopt(environment)
        self._configuration = config
        self._session: Session | GroupSession | None = None
        self._reported = 0

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
        judge = self._configuration["judge"]
        session = self._session
        judged = session if judge is not None and isinstance(session, Session) else None
        if judged is not None:
            _obey(judged, judge["order"])
        until = time.monotonic() + _REPORT_SECONDS
        while not session.done:
            session.step()
            if time.monotonic() >= until or (judged is not None and self._unreported(judged)):
                break
        if judged is not None and judge["pauses"]:
            session.close()  # it may go on in another worker while this one still holds it
        return {
            "epoch": session.epochs_done,
            "done": session.done,
            "status": session.status,
            "statuses": session.statuses if isinstance(session, GroupSession) else {},
            "run_id": session.run_id,
            "gpu_memory": needed_of_gpu(),
            "curve": self._news(judged) if judged is not None else [],
        }

    def _unreported(self, session: Session) -> list[tuple[int, float]]:
        """Epochs with their validation, after the warm-up."""
        values = judged(session.run, session.curve)
        return [(epoch, value) for epoch, value in sorted(values.items()) if epoch > self._reported]

    def _news(self, session: Session) -> list[tuple[int, float]]:
        """The same, told once: after a restart from the first epoch on."""
        news = self._unreported(session)
        self._reported = news[-1][0] if news else self._reported
        return news

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


def _obey(session: Session, order: str) -> None:
    """Stops a run where the driver left word that it is to stop."""
    epoch = ordered_stop(session.ledger, order)
    if epoch is not None:
        session.cutoffs = unreachable(epoch, metric=session.run.protocol.select_by)


def _open_session(config: dict[str, Any]) -> Session | GroupSession:
    keep_freed_memory()
    gpus = config["resources"].get("GPU", 0.0)
    limit_memory(gpus)
    settings = config["session"]
    options = SessionOptions(
        study=settings["study"],
        cache=cache_here(settings["cache"]),
        generation=settings["generation"],
        checkpoint_seconds=settings["checkpoint_seconds"],
        gpus=gpus or 1.0,
    )
    shard = Shard.parse(settings["shard"]) if settings.get("shard") else None
    ledger = Ledger.reopen(settings["ledger"], shard=shard)

    def opened(kind: type[AnySession], told: dict[str, Any]) -> AnySession:
        run = run_here(told["run"], settings)
        if settings["nodes"] == "many":  # this one may have joined after the others were asked
            require_data(run, cache=options.cache)
        return kind(run, ledger=ledger, options=options, cutoffs=dict(told["cutoffs"]))

    if "members" not in config:
        return opened(Session, config)
    kind: type[Session] = Session if _dies_together(ledger, config["members"], options.generation or 0) else Member
    return GroupSession({told["slot"]: opened(kind, told) for told in config["members"]}, size=config["size"])


def _dies_together(ledger: Ledger, members: Iterable[dict[str, Any]], generation: int) -> bool:
    """Whether the worker died so often that the next time would fail all its runs: one of them may be to blame."""
    deaths = (worker_deaths(ledger, told["run_id"], generation=generation) for told in members)
    return any(fruitless >= MAX_WORKER_DEATHS - 1 for _, fruitless in deaths)
