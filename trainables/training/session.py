"""Carries one run from its configuration to its committed rows, through checkpoints, restarts and failures."""

import math
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from trainables import provenance
from trainables.config import RunConfig
from trainables.errors import ConfigError, LedgerError
from trainables.ledger import Ledger
from trainables.ledger.live import worker_deaths
from trainables.ledger.names import live_key
from trainables.strategies.base import Artifacts, Outcome, Strategy
from trainables.training import checkpoint
from trainables.training.build import build_strategy
from trainables.training.cutoffs import NO_CUTOFFS, Curve, Cutoffs, stopped_after
from trainables.training.gpu_memory import OUT_OF_MEMORY, explained, is_out_of_memory
from trainables.training.kept import kept
from trainables.training.record import epoch_line, outcome_line, run_row

_LIVE_SECONDS = 2.0
MAX_WORKER_DEATHS = 3
"""A run whose worker died so often under one driver, without an error of its own and without an epoch saved in between,
is recorded as failed; nodes that come and go are not its fault."""
_MOST_WORKER_DEATHS = 15
"""Progress or not; fewer than Ray Tune puts up with, which would end the launch."""


@dataclass(frozen=True)
class SessionOptions:
    """What a session needs besides the run; nothing here changes its numbers.

    Attributes:
        study: name, for the rows.
        cache: folder of decoded images and features.
        generation: the driver's; None without a driver.
        checkpoint_seconds: least time between checkpoints; 0 saves after every epoch.
        gpus: that the run may use, 1 where it uses none. With a part of one, running out of its memory is no failure.
    """

    study: str
    cache: Path
    generation: int | None = None
    checkpoint_seconds: float = 30.0
    gpus: float = 1.0


class Session:
    """One attempt at one run. `step` trains an epoch; after the last one the run's rows stand in the ledger.

    A run that falls behind the cutoffs of a search ends with status `pruned`. A run's own error becomes a row with
    status `failed`; an error of the storage is raised: the run is not to blame. A run for which a part of a GPU is too
    small ends as `out_of_memory` and leaves no row: its driver starts it again with more.
    """

    _build: Callable[..., Strategy] = staticmethod(build_strategy)

    def __init__(
        self,
        run: RunConfig,
        *,
        ledger: Ledger,
        options: SessionOptions,
        artifacts: Artifacts | None = None,
        cutoffs: Cutoffs = NO_CUTOFFS,
    ) -> None:
        """
        Args:
            artifacts: reads what other runs kept; from the ledger by default.
            cutoffs: of a search: where the run is worse, it ends and is committed as `pruned`.

        Raises:
            ConfigError: the run names data by its place only, and its id says nothing of their content.
        """
        _require_revisions(run)
        self.run = run.simplified()  # what the id leaves out cannot reach the numbers
        self.ledger, self.options, self.cutoffs = ledger, options, cutoffs
        self._artifacts: Artifacts = artifacts or ledger.get
        self.run_id = run.run_id()
        self.done = False
        self.status = "pending"
        self.attempt = ""
        self.epoch_rows: list[dict[str, Any]] = []
        self.lines: list[str] = []
        self._strategy: Strategy | None = None
        self._saved_at = self._shown_at = self._started = time.monotonic()
        self._saved_epoch = -1
        self._started_at = datetime.now(UTC)

    @property
    def epochs_done(self) -> int:
        """Epochs trained so far, those before a restart included."""
        return self._strategy.epochs_done if self._strategy else 0

    def step(self) -> None:
        """Starts the attempt where none is, trains one epoch, and commits after the last."""
        if self.done:
            return
        try:
            self._guarded_step()
        except LedgerError:
            self._withdraw()
            raise

    def _guarded_step(self) -> None:
        try:
            self.unguarded_step()
        except LedgerError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a run's own code raises is recorded as its failure
            if self.options.gpus < 1 and is_out_of_memory(error):
                self._give_way(traceback.format_exc())
            else:
                self._commit_failure(explained(error, traceback.format_exc()))

    def _give_way(self, error: str) -> None:
        """Ends without a commit; what was trained since the last checkpoint is lost, its state may be half a step's."""
        self._log(f"{error}\n{self.options.gpus:g} of a GPU has too little memory: the run is due with a larger share")
        self._write_log()
        self._withdraw()
        self._strategy, self.done, self.status = None, True, OUT_OF_MEMORY

    def close(self) -> None:
        """Saves an unfinished attempt; the next one goes on from here."""
        if self._strategy is not None and not self.done and self._strategy.epochs_done > self._saved_epoch:
            self._save()

    def unguarded_step(self) -> None:
        """The same, but whatever the run raises is raised: for a debugger."""
        if not self.attempt and not self._start():
            return
        strategy = self._strategy_or_build()
        if not strategy.finished and self._stop_epoch() is None:
            self._train(strategy)
        if (stop := self._stop_epoch()) is not None:
            self._commit_pruned(stop)
        elif strategy.finished:
            self._commit(strategy)
        else:
            self._after_epoch(strategy)

    def _train(self, strategy: Strategy) -> None:
        row = strategy.epoch()
        if row:
            self.epoch_rows.append(row)
            self._log(epoch_line(row))

    def _stop_epoch(self) -> int | None:
        """The epoch after which the search that trains the run stops it; None where it goes on."""
        return stopped_after(self.run, self.curve, self.cutoffs) if self.cutoffs else None

    @property
    def curve(self) -> Curve:
        """The validation so far, that before a restart included."""
        return Curve.of(self.epoch_rows, metric=self.run.protocol.select_by)

    def _start(self) -> bool:
        """Claims an attempt; False where the run turns out to be committed, or hopeless."""
        committed = self.ledger.commit_of(self.run_id)
        # A run that is pruned already and has cutoffs again was told to its driver by a worker that then died.
        done = ("complete", "pruned") if self.cutoffs else ("complete",)
        if committed is not None and committed.status in done:
            self.ledger.finish(self.run_id)
            self.done, self.status = True, committed.status
            return False
        deaths, fruitless = worker_deaths(self.ledger, self.run_id, generation=self.options.generation or 0)
        self.attempt = self.ledger.new_attempt(self.run_id, generation=self.options.generation or 0)
        if fruitless >= MAX_WORKER_DEATHS or deaths >= _MOST_WORKER_DEATHS:
            self._commit_failure(f"its worker process died {deaths} times without an error of its own (out of memory?)")
            return False
        self._log(f"attempt {self.attempt} of run {self.run_id} on {provenance.host_name()}")
        return True

    def _withdraw(self) -> None:
        """Takes the claim back, so that a full disk does not count as a death of the worker."""
        if self.attempt:
            try:
                self.ledger.delete(live_key(self.run_id, self.attempt))
            except LedgerError:
                self._log("the claim could not be withdrawn")  # the error that led here is raised

    def _strategy_or_build(self) -> Strategy:
        if self._strategy is None:
            self._strategy = self._build(self.run, cache=self.options.cache, artifacts=self._artifacts)
            self._resume(self._strategy)
        return self._strategy

    def _resume(self, strategy: Strategy) -> None:
        """Loads the newest checkpoint that is whole, of whichever attempt."""
        report = self._report_corrupt
        for saved in self.ledger.checkpoints(self.run_id, on_corrupt=report):
            try:
                state, rows = checkpoint.from_bytes(saved.payload)
            except ValueError as error:
                report(f"{saved.attempt}-{saved.epoch}", str(error))
                continue
            strategy.load_state_dict(state)
            self.epoch_rows = rows
            self._saved_epoch = saved.epoch
            self._log(f"continues after epoch {saved.epoch} of attempt {saved.attempt}")
            return

    def _report_corrupt(self, key: str, reason: str) -> None:
        self._log(f"checkpoint {key} is not usable ({reason}); an older one, or the start, is taken instead")

    def _after_epoch(self, strategy: Strategy) -> None:
        now = time.monotonic()
        if now - self._saved_at >= self.options.checkpoint_seconds:
            self._save()
        if now - self._shown_at >= _LIVE_SECONDS:
            self._shown_at = now
            self.ledger.update_live(self.run_id, self.attempt, self._progress(strategy))

    def _progress(self, strategy: Strategy) -> dict[str, Any]:
        """Epochs, and the newest value of the metric that selects among them."""
        newest = {f"val_{self.run.protocol.select_by}": value for value in list(self.curve.values.values())[-1:]}
        return {"epoch": strategy.epochs_done, "epochs": strategy.epochs_planned, **newest}

    def _save(self) -> None:
        assert self._strategy is not None
        epoch = self._strategy.epochs_done
        payload = checkpoint.to_bytes(self._strategy.state_dict(), self.epoch_rows)
        self.ledger.save_checkpoint(self.run_id, self.attempt, epoch, payload, generation=self.options.generation)
        self._write_log()
        self._saved_at, self._saved_epoch = time.monotonic(), epoch

    def _commit(self, strategy: Strategy) -> None:
        outcome = strategy.outcome()
        for key, content in kept(self.run, self.run_id, outcome):  # before the rows are committed
            self.ledger.put(key, content)
        self._end("complete", outcome_line(outcome), outcome=outcome)

    def _commit_pruned(self, stop: int) -> None:
        """Commits the epochs until the stop; a checkpoint of an attempt without these cutoffs may have more."""
        self.epoch_rows = self.epoch_rows[:stop]
        value, cutoff = self.curve.values[stop], self.cutoffs[stop]
        reason = f"the cutoff is {cutoff:.4f}" if math.isfinite(cutoff) else "Ray Tune's scheduler decided so"
        line = f"stopped after epoch {stop}: val_{self.run.protocol.select_by} {value:.4f}, and {reason}"
        self._end("pruned", line, epochs_trained=stop)

    def _commit_failure(self, error: str) -> None:
        self._end("failed", error, error=error)

    def _end(
        self,
        status: str,
        line: str,
        *,
        outcome: Outcome | None = None,
        epochs_trained: int | None = None,
        error: str | None = None,
    ) -> None:
        """Writes the log and commits."""
        self._log(line)
        self._write_log()
        row = run_row(
            self.run,
            run_id=self.run_id,
            attempt=self.attempt,
            attempts=len(self.ledger.attempts(self.run_id)),
            status=status,
            study=self.options.study,
            outcome=outcome,
            epochs_trained=self.epochs_done if epochs_trained is None else epochs_trained,
            epoch_rows=self.epoch_rows,
            started_at=self._started_at,
            wall_seconds=time.monotonic() - self._started,
            error=error,
        )
        classes, generation = outcome.classes if outcome else [], self.options.generation
        self.ledger.commit(row, epochs=self.epoch_rows, classes=classes, generation=generation)
        self.done, self.status = True, status

    def _log(self, line: str) -> None:
        self.lines.append(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} {line}")

    def _write_log(self) -> None:
        self.ledger.put(
            f"logs/{self.run_id}.{self.attempt}.log", ("\n".join(self.lines) + "\n").encode(), durable=False
        )


def _require_revisions(run: RunConfig) -> None:
    for key, named, revision in (
        ("dataset", True, run.dataset.revision),
        ("backbone.weights", run.backbone.weights is not None, run.backbone.weights_revision),
    ):
        if named and not revision:
            raise ConfigError(f"{key} of this run has no revision: take the run from a plan, or `resolve` it first")
    parent = run.strategy.parent
    if parent is not None and not (parent.run or parent.weights_revision):
        raise ConfigError("strategy.teacher of this run is not looked up yet: take the run from a plan")
