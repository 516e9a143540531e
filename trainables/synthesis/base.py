"""What every synthesis does: enlarge one step's embeddings, labels and classes before the base loss sees them."""

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor

from trainables.classes import Classes
from trainables.step import Step


class Synthesis(ABC):
    """Constructed from its configuration: `load_implementation(config)(config)`."""

    @abstractmethod
    def enlarge(
        self, embeddings: Tensor, labels: Tensor, classes: Classes | None, step: Step
    ) -> tuple[Tensor, Tensor, Classes | None]:
        """Adds rows and classes to one step.

        Args:
            embeddings: [B, D], raw, on the device.
            labels: [B], integers in 0..C-1.
            classes: what the base loss learns; None for a loss without proxies.
            step: where in the run; every random draw is derived from it.

        Returns:
            Embeddings [B', D], labels [B'] and classes C' >= C for the base loss. The real classes keep their indices.
        """

    def state_dict(self) -> dict[str, Any]:
        """What the next step depends on; a checkpoint holds it."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes up a state that `state_dict` gave.

        Raises:
            ValueError: the state belongs to another synthesis.
        """
        if state:
            raise ValueError(f"{type(self).__name__} has no state; the checkpoint holds {sorted(state)}")
