"""Datasets: labelled images with class-disjoint splits, decoded once into a memory-mapped cache."""

from trainables.datasets.config import DATASETS, DatasetConfig

__all__ = ["DATASETS", "DatasetConfig"]
