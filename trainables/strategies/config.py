"""Configuration of the strategies. `implementation` names a class with the interface of `strategies.plain.Plain`."""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from trainables.parts import Config, Part, hidden

RunId = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
Kept = Literal["weights", "embeddings"]
"""What one run may read of another: the weights, or the test embeddings, of its selected epoch."""


class Parent(Config):
    """A finished run whose kept weights another run needs. Exactly one of `method`, `run` and `weights` is given."""

    method: str = hidden("")
    """A method of the same study; planning finds its run in the cell of the same dataset and axes."""
    seed: Literal["same"] | int = hidden("same")
    """Which of that method's replicates."""
    run: str = Field("", pattern=r"^([0-9a-f]{16})?$")
    """Id of the run."""
    results: str = hidden("")
    """Results folder of that run; the study's own where empty."""
    weights: str = hidden("")
    """A file of kept weights (`artifacts/<run>/weights.pt`)."""
    weights_revision: str = ""
    """Hash of that file; filled in when a study is planned."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        given = [key for key in ("method", "run", "weights") if getattr(self, key)]
        if self.run and given == ["method", "run"]:
            return self  # planned
        if len(given) != 1:
            raise ValueError(f"needs exactly one of method, run and weights, has {' and '.join(given) or 'none'}")
        return self


class StrategyConfig(Part):
    """How a run is organised: plain epochs, no training at all, outer loops, teachers."""

    trains: ClassVar[bool] = True
    uses_loss: ClassVar[bool] = True
    """Whether the run's loss and synthesis take part; a strategy with an objective of its own leaves them out."""
    reads: ClassVar[Kept] = "weights"
    """What it reads of the runs in `sources`."""

    @property
    def parent(self) -> Parent | None:
        """The run that this one starts from or learns from; it is trained first."""
        return None

    @property
    def sources(self) -> tuple[str, ...]:
        """Ids of the runs in the same results folder that have to be complete first."""
        parent = self.parent
        return (parent.run,) if parent is not None and parent.run and not parent.results else ()

    def with_sources(self, run_ids: tuple[str, ...]) -> Self:
        """The same strategy on other runs; one that has a parent takes one run."""
        parent = self.parent
        if parent is None or len(run_ids) != 1:
            raise ValueError(f"strategy '{self.name}' takes {int(parent is not None)} runs, got {len(run_ids)}")
        return self.with_parent(parent.model_copy(update={"run": run_ids[0]}))

    def refused_parent(self, parent: Any, run: Any) -> str | None:
        """Why a run cannot learn from another one, and what would be possible; None where it can.

        Args:
            parent: the `RunConfig` of the run whose weights are kept.
            run: the `RunConfig` with this strategy.
        """
        return None

    def with_parent(self, parent: Parent) -> Self:
        """The same strategy with another parent; a strategy that has one overrides it."""
        raise NotImplementedError(f"strategy '{self.name}' has no parent")

    @property
    def objective(self) -> str:
        """What is minimised, for the `loss` column of a strategy that does not use the run's loss."""
        return ""


class Plain(StrategyConfig):
    """Epochs of steps over the training classes, evaluation on validation classes in between."""

    name: Literal["plain"] = "plain"
    implementation: ClassVar[str] = "trainables.strategies.plain:Plain"


class Untrained(StrategyConfig):
    """No training: the pooled features of the backbone as it comes, the row that every table starts from."""

    name: Literal["untrained"] = "untrained"
    trains: ClassVar[bool] = False
    implementation: ClassVar[str] = "trainables.strategies.untrained:Untrained"
