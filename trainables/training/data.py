"""What a run trains and is measured on: images or cached features of one dataset, and the split of its classes."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from trainables.config import RunConfig
from trainables.datasets.crops import evaluation_view
from trainables.datasets.images import ImageSet
from trainables.datasets.robustness import with_training_set
from trainables.datasets.splits import Split, split_classes
from trainables.datasets.targets import Targets
from trainables.devices import sent
from trainables.training.config import Augmentation
from trainables.training.inputs import Inputs, inputs_of


@dataclass(frozen=True)
class RunData:
    """The inputs of one run.

    Attributes:
        inputs: images, or features of a frozen backbone.
        split: training, validation and test positions in `inputs` and their labels.
        augmentation: how the network sees images.
    """

    inputs: Inputs
    split: Split
    images: ImageSet
    device: torch.device
    augmentation: Augmentation

    @property
    def cached_features(self) -> bool:
        """Whether the backbone was already applied."""
        return len(self.inputs.shape) == 2

    @property
    def feature_dim(self) -> int | None:
        """F where the inputs are features."""
        return self.inputs.shape[1] if self.cached_features else None

    @property
    def training_targets(self) -> Targets | None:
        """Continuous labels of the training images, where the dataset has them."""
        targets = self.images.targets
        return None if targets is None else targets.at(self.split.train)

    def shapes(self, positions: np.ndarray) -> Tensor | None:
        """`ImageSet.shapes` of the images at `positions`."""
        shapes = self.images.shapes
        return None if shapes is None else torch.from_numpy(shapes[positions])

    def evaluation_batch(self, positions: np.ndarray) -> Tensor:
        """`batch` as evaluation sees it: images cropped at their middle, where the run says so."""
        inputs = self.batch(positions)
        if self.cached_features:
            return inputs
        return evaluation_view(inputs, self.augmentation, self.shapes(positions))

    def batch(self, positions: np.ndarray) -> Tensor:
        """float32 inputs at `positions` on the run's device; decoded images, scaled to 0..1, or features."""
        chosen = sent(self.inputs.take(positions), self.device)
        return chosen if self.cached_features else chosen.float().div_(255)


def load_run_data(run: RunConfig, *, cache: Path, everything: bool = False) -> RunData:
    """Opens the images (or features) of a run and splits its classes.

    Args:
        everything: train on all training classes, hold none out for validation.
    """
    from trainables.datasets.catalog import load_images

    images = load_images(run.dataset, cache=cache, workers=run.training.threads)
    split = run_split(run, images, everything=everything)
    device = torch.device(run.device)
    inputs = _inputs(run, images, cache=cache, device=device)
    return RunData(inputs, split, images, device, run.augmentation)


def run_split(run: RunConfig, images: ImageSet, *, everything: bool = False) -> Split:
    """Which images a run trains on, validates and is tested on; `everything` as in `load_run_data`."""
    held_out = None if everything or run.protocol.selection == "last" else run.fold
    split = split_classes(
        images.labels,
        images.split,
        folds=run.protocol.validation_folds,
        fold=held_out,
        partition=run.protocol.partition,
        dataset_revision=run.dataset.revision,
    )
    return with_training_set(split, run.training_set, seed=run.seed)


def _inputs(run: RunConfig, images: ImageSet, *, cache: Path, device: torch.device) -> Inputs:
    if run.backbone.trainable:
        return inputs_of(images.images, device)
    from trainables.backbones.features import cached_features

    return inputs_of(cached_features(run, images, cache=cache), device)
