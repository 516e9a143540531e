"""Configuration of read-outs over the models of all folds."""

from typing import Any, ClassVar, Literal, Self

from pydantic import Field

from trainables.strategies.config import RunId, StrategyConfig


class FoldEnsemble(StrategyConfig):
    """The embeddings of one seed's fold models side by side; planned by `protocol.readout: [concat]`."""

    name: Literal["fold_ensemble"] = "fold_ensemble"
    members: tuple[RunId, ...] = Field((), max_length=100)
    """Ids of the runs whose test embeddings are joined, in the order of the folds; filled in by a plan."""
    trains: ClassVar[bool] = False
    reads: ClassVar[Literal["weights", "embeddings"]] = "embeddings"
    implementation: ClassVar[str] = "trainables.strategies.ensemble:FoldEnsemble"

    @property
    def sources(self) -> tuple[str, ...]:
        return self.members

    def with_sources(self, run_ids: tuple[str, ...]) -> Self:
        return self.model_copy(update={"members": run_ids})

    def refusal(self, run: Any) -> str | None:
        if len(self.members) >= 2:
            return None
        return (
            "strategy 'fold_ensemble' joins the models of a cell's folds and is planned for you: write "
            "`protocol: {readout: [mean, concat]}` with `replicates: {folds: 4}` instead"
        )
