"""Strategies: how training is organised around the loss."""

from trainables.strategies.config import StrategyConfig
from trainables.strategies.registry import STRATEGIES

__all__ = ["STRATEGIES", "StrategyConfig"]
