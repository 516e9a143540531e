"""What a run trains and is measured on: images or cached features of one dataset, and the split of its classes."""

from collections import OrderedDict
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
from trainables.training.config import Augmentation

_RESIDENT_SHARE = 0.25
"""Share of a GPU's free memory that the images of a dataset may take to live there."""
_KEPT_OPEN = 2


@dataclass(frozen=True)
class RunData:
    """The inputs of one run.

    Attributes:
        inputs: uint8 [N, C, H, W] images, or float32 [N, F] features of a frozen backbone.
        split: training, validation and test positions in `inputs` and their labels.
        augmentation: how the network sees images.
    """

    inputs: Tensor
    split: Split
    images: ImageSet
    device: torch.device
    augmentation: Augmentation

    @property
    def cached_features(self) -> bool:
        """Whether the backbone was already applied."""
        return self.inputs.dtype != torch.uint8

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
        index = torch.from_numpy(np.ascontiguousarray(positions)).to(self.inputs.device)
        chosen = self.inputs.index_select(0, index).to(self.device, non_blocking=True)
        return chosen if self.cached_features else chosen.float().div_(255)


def load_run_data(run: RunConfig, *, cache: Path, everything: bool = False) -> RunData:
    """Opens the images (or features) of a run and splits its classes.

    Args:
        everything: train on all training classes, hold none out for validation.
    """
    from trainables.datasets.catalog import load_images

    images = load_images(run.dataset, cache=cache)
    held_out = None if everything or run.protocol.selection == "last" else run.fold
    split = split_classes(
        images.labels,
        images.split,
        folds=run.protocol.validation_folds,
        fold=held_out,
        partition=run.protocol.partition,
        dataset_revision=run.dataset.revision,
    )
    split = with_training_set(split, run.training_set, seed=run.seed)
    device = torch.device(run.device)
    inputs = _inputs(run, images, cache=cache, device=device)
    return RunData(inputs, split, images, device, run.augmentation)


def _inputs(run: RunConfig, images: ImageSet, *, cache: Path, device: torch.device) -> Tensor:
    array = images.images
    if not run.backbone.trainable:
        from trainables.backbones.features import cached_features

        array = cached_features(run, images, cache=cache)
    return _resident(array, device)


_opened: OrderedDict[tuple[str, str], Tensor] = OrderedDict()
"""The arrays that the last runs of this process used, most recent last: an actor trains many runs on one dataset."""


def _resident(array: np.ndarray, device: torch.device) -> Tensor:
    """The array as a tensor; one of a cache file, which is named by its content, is opened once."""
    if not isinstance(array, np.memmap) or array.filename is None:
        return _placed(torch.from_numpy(array), device)
    key = (str(array.filename), str(device))
    if key not in _opened:
        # Copy-on-write mapping: torch asks for a writable array, though nothing ever writes to it.
        mapped = np.memmap(array.filename, dtype=array.dtype, mode="c", offset=array.offset, shape=array.shape)
        _opened[key] = _placed(torch.from_numpy(mapped), device)
    _opened.move_to_end(key)
    while len(_opened) > _KEPT_OPEN:
        _opened.popitem(last=False)
    return _opened[key]


def _placed(tensor: Tensor, device: torch.device) -> Tensor:
    """Without a copy on a CPU; on a GPU it moves there where it fits."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info()
        if tensor.nbytes < free * _RESIDENT_SHARE:
            return tensor.to(device)
    return tensor
