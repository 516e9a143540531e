"""Synthesis: what adds classes during training. Configuration in `config` (free of torch), formulas in `functional`."""

from trainables.synthesis.config import SynthesisConfig
from trainables.synthesis.registry import SYNTHESES

__all__ = ["SYNTHESES", "SynthesisConfig"]
