"""Small trained runs that kept something, on real image files and on drawn ones."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainables.config import RunConfig
from trainables.datasets import catalog
from trainables.ledger import Ledger
from trainables.testing.runs import changed
from trainables.training.session import Session, SessionOptions

KEPT = {"weights": "selected", "embeddings": "test"}

Train = Callable[[RunConfig], str]


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.open(tmp_path / "results" / "tiny", create=True)


@pytest.fixture
def train(ledger: Ledger, private_cache: Path) -> Train:
    """Trains a run into the ledger; returns its id."""

    def train(run: RunConfig) -> str:
        session = Session(run, ledger=ledger, options=SessionOptions(study="tiny", cache=private_cache))
        while not session.done:
            session.step()
        assert session.status == "complete", "\n".join(session.lines)
        return session.run_id

    return train


@pytest.fixture
def run(tiny_run: RunConfig) -> RunConfig:
    """Two epochs on glyphs that keep weights and test embeddings."""
    return changed(tiny_run, training={"epochs": 2}, keep=KEPT)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Colour images of odd shapes in a directory, each class of its own hue."""
    source = np.random.default_rng(0)
    for split in ("train", "test"):
        for label in range(8):
            folder = tmp_path / "photos" / split / f"{split}-{label}"
            folder.mkdir(parents=True)
            for number in range(4):
                height, width = source.integers(24, 60, size=2)
                pixels = source.integers(0, 256, size=(height, width, 3)) // 2 + 16 * label
                Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"{number}.png")
    return tmp_path / "photos"


@pytest.fixture
def photo_run(run: RunConfig, photos: Path, private_cache: Path) -> RunConfig:
    """On those images, cropped in pixels of the images as they were, by a network that takes BGR."""
    dataset = {"name": "image_folder", "path": str(photos), "image_size": 40, "resize": "whole"}
    changes = changed(
        run,
        dataset=dataset,
        backbone={"name": "resnet18", "preprocessing": "caffe"},
        augmentation={"crop_size": 32, "test_crop": 0.8, "crop_scale": (1.0, 1.0)},
        training={"epochs": 1, "batch_size": 12},
        sampler={"name": "shuffled"},
    )
    resolved = catalog.resolve(changes.dataset, search=(), cache=private_cache)
    return changes.model_copy(update={"dataset": resolved})
