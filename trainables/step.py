"""Where in a run a computation happens; every random draw of a step is derived from it."""

from dataclasses import dataclass

import numpy as np
import torch

from trainables.randomness import generator, numpy_generator


@dataclass(frozen=True)
class Step:
    """One optimisation step: the run's seed, the epoch (from 0) and the step within the epoch (from 0)."""

    seed: int
    epoch: int
    index: int

    def generator(self, purpose: str) -> torch.Generator:
        """A fresh CPU generator for one purpose of this step."""
        return generator(self.seed, purpose, self.epoch, self.index)

    def numpy_generator(self, purpose: str) -> np.random.Generator:
        """The same for numpy's distributions."""
        return numpy_generator(self.seed, purpose, self.epoch, self.index)
