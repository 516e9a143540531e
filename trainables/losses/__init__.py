"""Base losses: typed configuration (`config`, free of torch) and pure functions (`functional`)."""

from trainables.losses.config import LOSSES, LossConfig

__all__ = ["LOSSES", "LossConfig"]
