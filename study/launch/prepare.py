"""Decodes images and computes frozen features once, before any trial waits for them."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from study.plan import PlannedRun
from trainables.config import RunConfig
from trainables.parts import identity


def prepare_data(due: Sequence[PlannedRun], *, cache: Path) -> None:
    """Builds the caches that the due runs need on this machine, with a progress bar for each.

    Raises:
        DataError: images or weights that cannot be used.
    """
    console = Console(stderr=True)
    with Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console
    ) as bars:
        for run in _distinct(due):
            _prepare(run, cache=cache, bars=bars)


def _distinct(due: Sequence[PlannedRun]) -> list[RunConfig]:
    """One run for each pair of dataset and frozen backbone."""
    chosen: dict[str, RunConfig] = {}
    for planned in due:
        run = planned.config
        frozen = None if run.backbone.trainable else (identity(run.backbone), run.seed)
        chosen.setdefault(str((identity(run.dataset), frozen)), run)
    return list(chosen.values())


def _prepare(run: RunConfig, *, cache: Path, bars: Progress) -> None:
    from trainables.datasets.catalog import load_images

    tasks: dict[str, object] = {}

    def show(done: int, total: int, description: str) -> None:
        task = tasks.setdefault(description, bars.add_task(description, total=total))
        bars.update(task, completed=done, total=total)  # type: ignore[arg-type]

    images = load_images(run.dataset, cache=cache, progress=show)
    if not run.backbone.trainable:
        from trainables.backbones.features import cached_features

        cached_features(run, images, cache=cache, progress=show)
