"""Figures along the epochs of training."""
