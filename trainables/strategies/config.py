"""Configuration of the strategies. `implementation` names a class with the interface of `strategies.plain.Plain`."""

from typing import ClassVar, Literal

from trainables.parts import Part, registered


class StrategyConfig(Part):
    """How a run is organised: plain epochs, no training at all, outer loops, teachers."""

    trains: ClassVar[bool] = True


class Plain(StrategyConfig):
    """Epochs of steps over the training classes, evaluation on validation classes in between."""

    name: Literal["plain"] = "plain"
    implementation: ClassVar[str] = "trainables.strategies.plain:Plain"


class Untrained(StrategyConfig):
    """No training: the pooled features of the backbone as it comes, the row that every table starts from."""

    name: Literal["untrained"] = "untrained"
    trains: ClassVar[bool] = False
    implementation: ClassVar[str] = "trainables.strategies.untrained:Untrained"


STRATEGIES: dict[str, type[Part]] = registered(Plain, Untrained)
