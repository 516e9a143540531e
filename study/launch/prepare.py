"""Decodes images and computes frozen features once, before any trial waits for them."""

from collections.abc import Sequence
from pathlib import Path

from study.bars import DataBars
from study.plan import PlannedRun
from trainables.config import RunConfig
from trainables.parts import identity


def prepare_data(due: Sequence[PlannedRun], *, cache: Path) -> None:
    """Builds the caches that the due runs need on this machine, with a progress bar for what takes long.

    Raises:
        DataError: images or weights that cannot be used.
    """
    with DataBars() as bars:
        for run in _distinct(due):
            _prepare(run, cache=cache, bars=bars)


def _distinct(due: Sequence[PlannedRun]) -> list[RunConfig]:
    """One run for each dataset, and for each frozen backbone on it."""
    chosen: dict[str, RunConfig] = {}
    for planned in due:
        run = planned.config
        frozen = None if run.backbone.trainable else (identity(run.backbone), run.seed, run.device, run.precision)
        chosen.setdefault(str((identity(run.dataset), run.dataset.decode, frozen)), run)
    return list(chosen.values())


def _prepare(run: RunConfig, *, cache: Path, bars: DataBars) -> None:
    from trainables.datasets.catalog import load_images

    images = load_images(run.dataset, cache=cache, progress=bars)
    if not run.backbone.trainable and _is_here(run.device):
        from trainables.backbones.features import cached_features

        cached_features(run, images, cache=cache, progress=bars)


def _is_here(device: str) -> bool:
    """A cluster's GPUs may be on its other machines; the first trial there computes the features then."""
    import torch

    return device == "cpu" or torch.cuda.is_available()
