"""When an instance of the chance-constrained problem improves and when it is solved: the outer loop without tensors."""

import math
from dataclasses import dataclass
from typing import Any

from trainables.strategies.ccp_config import CCP


@dataclass(frozen=True)
class Verdict:
    """What an evaluation says of the current instance: its best one so far, and the last one."""

    improved: bool
    solved: bool


@dataclass
class Rounds:
    """Counts instances and judges each by its evaluations.

    Attributes:
        round: r, instances solved so far.
        started: epoch after which the current instance began.
        waited: its evaluations since the last improvement.
        best: its best metric.
        previous: the metric of the last evaluation, over all instances.
    """

    config: CCP
    round: int = 0
    started: int = 0
    waited: int = 0
    best: float = -math.inf
    previous: float = 0.0

    @property
    def proximal_weight(self) -> float:
        """lambda_r: 0 in the first instance, then lambda_0 * decay^r."""
        return self.config.proximal_weight * self.config.proximal_decay**self.round if self.round else 0.0

    def observe(self, value: float, *, epoch: int) -> Verdict:
        """Takes in the metric after `epoch`; the first one that counts in an instance always improves it."""
        monitored = self.previous if self.config.compat == "official" else value
        self.previous = value
        long_enough = epoch - self.started >= self.config.min_epochs
        if self.config.instance == "fixed":
            return Verdict(improved=self.config.keeps_best and self._improves(monitored), solved=long_enough)
        improved = long_enough and self._improves(monitored)
        self.waited = 0 if improved or not long_enough else self.waited + 1
        return Verdict(improved=improved, solved=self.waited == self.config.patience)

    def begin(self, *, epoch: int) -> None:
        """The next instance starts after `epoch`."""
        self.round, self.started, self.waited, self.best = self.round + 1, epoch, 0, -math.inf

    def _improves(self, value: float) -> bool:
        if value <= self.best + self.config.min_delta:
            return False
        self.best = value
        return True

    def state_dict(self) -> dict[str, Any]:
        return {key: value for key, value in vars(self).items() if key != "config"}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for key, value in state.items():
            setattr(self, key, value)
