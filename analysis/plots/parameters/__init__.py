"""Figures of what values of parameters do, compared or searched."""
