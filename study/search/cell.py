"""What defines one search: a method's space in one cell, its sampler, seeds and folds."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from study.search.replicate_rule import replicate_rule
from study.search.space import Params, Space
from study.search.stopping import ray_scheduler, rule_of
from study.spec.model import Resources, TuneStage
from trainables.errors import LedgerError
from trainables.training.config import Protocol

if TYPE_CHECKING:
    from study.plan.plan import PlannedRun

_VERSION = 1
"""Raised when the same definition would propose other settings: searches then start anew."""


@dataclass(frozen=True)
class SearchCell:
    """A method in one cell of the compared axes, dataset included, whose hyperparameters are searched.

    Attributes:
        cell_id: 16 hexadecimal digits for everything that defines the search; `trials` is not part of it, so that a
            search can be extended, nor is `tolerance`, so that another setting can be chosen.
        protocol: of the runs; the mean of its `select_by` is the value of a setting.
        runs: the runs of a setting, seeds first; raises ConfigError where its values cannot stand together.
        fits: whether the cell fits a compiled condition (`--only`).
    """

    method: str
    axes: Mapping[str, Any]
    cell_id: str
    space: Space
    stage: TuneStage
    folds: tuple[int, ...]
    protocol: Protocol
    resources: Resources
    runs: "Callable[[Params], tuple[PlannedRun, ...]]" = field(repr=False)
    fits: Callable[[Any], bool] = field(repr=False)

    @property
    def title(self) -> str:
        axes = ", ".join(f"{key}={value}" for key, value in self.axes.items())
        return f"{self.method} ({axes})" if axes else self.method

    @property
    def select_by(self) -> str:
        """The validation metric that settings are compared by."""
        return self.protocol.select_by

    @property
    def runs_per_setting(self) -> int:
        return len(self.stage.seeds) * len(self.folds)

    def summary(self) -> dict[str, Any]:
        """What is searched, as JSON values."""
        stage = self.stage
        return {
            "method": self.method,
            "axes": dict(self.axes),
            "cell_id": self.cell_id,
            "space": self.space.record(),
            "sampler": stage.sampler,
            "scheduler": stage.scheduler,
            **({} if stage.prune_replicates is None else {"prune_replicates": stage.prune_replicates.model_dump()}),
            "trials": stage.trials,
            "window": stage.window,
            "seeds": list(stage.seeds),
            "folds": list(self.folds),
            "select_by": self.select_by,
            **({"cost": stage.cost, "tolerance": stage.tolerance} if stage.cost else {}),
        }

    def recorded_params(self, number: int, record: Mapping[str, Any]) -> Params:
        """The values of a setting on record.

        Raises:
            LedgerError: they are none of this space.
        """
        params: Params = record["params"]
        if not self.space.holds(params):
            raise LedgerError(
                f"search/{self.cell_id}/{number}.json has the values {dict(params)}, which are no setting of "
                f"{', '.join(self.space.keys)}; restore it, or delete it to have it proposed again"
            )
        return params


def cell_id(base: Mapping[str, Any], *, space: Space, stage: TuneStage, folds: tuple[int, ...]) -> str:
    """Content address of a search.

    Args:
        base: identity of the configuration without the tuned keys.
        space, stage, folds: of the search.
    """
    content = {
        "version": _VERSION,
        "base": base,
        "space": space.record(),
        "sampler": stage.sampler,
        "window": stage.window,
        "seed": stage.seed,
        "seeds": list(stage.seeds),
        "folds": list(folds),
    }
    if rule := rule_of(stage.scheduler):
        content["stopping"] = rule.record()
    if ray := ray_scheduler(stage.scheduler):
        content["stopping"] = {"ray": ray}
    if pruning := replicate_rule(stage):
        content["replicates"] = pruning.record()
    if stage.cost:
        content["cost"] = stage.cost
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
