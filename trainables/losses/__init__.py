"""Base losses: typed configuration (`config`, free of torch) and pure functions (`functional`)."""

from trainables.losses.config import LossConfig
from trainables.losses.registry import LOSSES

__all__ = ["LOSSES", "LossConfig"]
