"""Explicit random streams: a fresh CPU generator per use, nothing to save and nothing to restore."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from trainables.seeds import derive_seed

__all__ = ["derive_seed", "generator", "isolated_rng", "numpy_generator"]


def generator(base: int, *scope: int | str) -> torch.Generator:
    """A torch CPU generator for one purpose; move what it draws to the device, so that devices see the same numbers."""
    return torch.Generator(device="cpu").manual_seed(derive_seed(base, *scope))


def numpy_generator(base: int, *scope: int | str) -> np.random.Generator:
    """The same for numpy, which has distributions (Beta) that torch draws from its global generator only."""
    return np.random.default_rng(derive_seed(base, *scope))


@contextmanager
def isolated_rng(base: int, *scope: int | str) -> Iterator[None]:
    """Runs library code that knows only global generators (constructors, dropout), seeded, and puts them back after."""
    seed = derive_seed(base, *scope)
    python_state, numpy_state = random.getstate(), np.random.get_state()
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=devices):
        random.seed(seed)
        np.random.seed(seed % 2**32)
        torch.manual_seed(seed)
        try:
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)
