"""Strategies: how training is organised around the loss."""

from trainables.strategies.config import STRATEGIES, StrategyConfig

__all__ = ["STRATEGIES", "StrategyConfig"]
