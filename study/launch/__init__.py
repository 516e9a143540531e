"""Launching: a plan's due runs on Ray Tune, one driver per results folder, a quiet live view."""

from study.launch.driver import LaunchOptions, Summary, launch

__all__ = ["LaunchOptions", "Summary", "launch"]
