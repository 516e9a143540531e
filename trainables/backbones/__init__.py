"""Backbones: from images to pooled features."""

from trainables.backbones.config import BACKBONES, BackboneConfig

__all__ = ["BACKBONES", "BackboneConfig"]
