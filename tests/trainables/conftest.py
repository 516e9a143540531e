"""A run that trains in a second: real images, every part in use."""

from pathlib import Path

import pytest

from trainables.config import RunConfig
from trainables.datasets import catalog


@pytest.fixture
def tiny_run(private_cache: Path) -> RunConfig:
    run = RunConfig.model_validate(
        {
            "dataset": {"name": "glyphs", "classes": 24, "images_per_class": 8, "image_size": 16},
            "backbone": {"name": "conv4", "width": 8},
            "embedding_dim": 16,
            "synthesis": "proxy_synthesis",
            "sampler": {"name": "balanced", "images_per_class": 2},
            "augmentation": {"crop_scale": [0.6, 1.0], "flip": True},
            "optimizer": {"name": "adam", "lr": 0.01, "proxy_lr_multiplier": 10},
            "schedule": "cosine",
            "training": {"epochs": 4, "batch_size": 16, "warmup_epochs": 1, "clip_norm": 10},
        }
    )
    dataset = catalog.resolve(run.dataset, search=(), cache=private_cache)
    return run.model_copy(update={"dataset": dataset})
