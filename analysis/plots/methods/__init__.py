"""Figures of methods beside each other."""
