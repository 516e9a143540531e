"""Launching: a plan's due runs on Ray Tune, one driver per results folder, a quiet live view."""

from study.launch.driver import launch
from study.launch.summary import LaunchOptions, Summary

__all__ = ["LaunchOptions", "Summary", "launch"]
