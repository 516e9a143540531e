"""A plug-in: strategy `nothing`, whose one epoch returns a row at once. What is left of a run is what a study adds."""

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from trainables.strategies.config import StrategyConfig
from trainables.strategies.registry import STRATEGIES

if TYPE_CHECKING:
    from trainables.config import RunConfig
    from trainables.strategies.base import Artifacts, EpochRow, Outcome
    from trainables.training.data import RunData


class NothingConfig(StrategyConfig):
    """Trains nothing, in one epoch."""

    name: Literal["nothing"] = "nothing"
    implementation: ClassVar[str] = "nothing:Nothing"


class Nothing:
    """An epoch and an outcome without a network."""

    def __init__(self, run: "RunConfig", data: "RunData", all_classes: "RunData", *, artifacts: "Artifacts") -> None:
        self.epochs_done, self.epochs_planned = 0, 1

    @property
    def finished(self) -> bool:
        return self.epochs_done == self.epochs_planned

    def epoch(self) -> "EpochRow":
        self.epochs_done += 1
        seconds = {"train_seconds": 0.0, "eval_seconds": 0.0, "images_per_second": 0.0}
        return {"phase": "select", "epoch": self.epochs_done, "steps": 1, "train_loss": 0.0, "lr": 0.0, **seconds}

    def outcome(self) -> "Outcome":
        from trainables.strategies.base import Outcome

        return Outcome(selected_epoch=1, validation={"map_at_r": 0.0}, test={"map_at_r": 0.0})

    def state_dict(self) -> dict[str, Any]:
        return {"epochs_done": self.epochs_done}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.epochs_done = state["epochs_done"]


STRATEGIES["nothing"] = NothingConfig
