"""Runs that train together: which ones, decided before they start and kept where a launch ends early."""

from study.fusing.book import FUSED_KEY, FusedBook, FusedGroup
from study.fusing.groups import Formed, Groups, most_together

__all__ = ["FUSED_KEY", "Formed", "FusedBook", "FusedGroup", "Groups", "most_together"]
