"""Synthesis: what adds classes during training. Configuration in `config` (free of torch), formulas in `functional`."""

from trainables.synthesis.config import SYNTHESES, SynthesisConfig

__all__ = ["SYNTHESES", "SynthesisConfig"]
