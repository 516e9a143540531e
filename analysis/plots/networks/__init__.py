"""Figures of one run's embedding space."""
