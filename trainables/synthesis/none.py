"""No synthesis: the base loss alone."""

from torch import Tensor

from trainables.classes import Classes
from trainables.step import Step
from trainables.synthesis import config as configs
from trainables.synthesis.base import Synthesis


class NoSynthesis(Synthesis):
    """Passes everything on as it is."""

    def __init__(self, config: configs.NoSynthesis) -> None:
        self.config = config

    def enlarge(
        self, embeddings: Tensor, labels: Tensor, classes: Classes | None, step: Step
    ) -> tuple[Tensor, Tensor, Classes | None]:
        """The arguments themselves."""
        return embeddings, labels, classes
