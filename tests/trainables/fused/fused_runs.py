"""Small runs that train together, and the same ones by themselves."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainables.backbones import weights
from trainables.backbones.build import build_backbone
from trainables.config import RunConfig
from trainables.datasets import catalog
from trainables.fused.fit import FusedFit, train_together
from trainables.fused.stack import Stack
from trainables.step import Step
from trainables.testing.runs import changed
from trainables.training.data import load_run_data
from trainables.training.fit import Fit

HEAD = {"name": "conv4", "width": 8, "trainable": False}
CONV4 = {"name": "conv4", "width": 4}


def run_of(cache: Path, **sections: Any) -> RunConfig:
    """Five steps an epoch on 9 classes; of 16 images in a batch some pairs of classes meet twice."""
    content = {
        "dataset": {"name": "glyphs", "classes": 24, "images_per_class": 8, "image_size": 16},
        "backbone": HEAD,
        "embedding_dim": 8,
        "sampler": {"name": "balanced", "images_per_class": 2},
        "training": {"epochs": 4, "batch_size": 16, "steps_per_epoch": 5, "precision": "float32"},
    }
    run = changed(RunConfig.model_validate(content), **sections)
    return run.model_copy(update={"dataset": catalog.resolve(run.dataset, search=(), cache=cache)})


def with_shared_features(run: RunConfig, folder: Path) -> RunConfig:
    """Its frozen backbone has the weights of a file, not random ones of its seed."""
    backbone = build_backbone(run.backbone, channels=1, seed=0)
    file = folder / "weights.pt"
    torch.save(backbone.body.state_dict(), file)
    named = run.backbone.model_copy(update={"weights": str(file)})
    return run.model_copy(update={"backbone": weights.resolve(named, search=(), cache=folder)})


class Alone(Fit):
    """A fit whose inputs are of its weights' type."""

    def training_inputs(self, batch: np.ndarray, step: Step) -> Tensor:
        return super().training_inputs(batch, step).to(next(self.loss.parameters()).dtype)


def fits(runs: Sequence[RunConfig], kind: type[Fit], *, cache: Path, dtype: torch.dtype, epochs: int) -> list[Any]:
    built = [kind(run, load_run_data(run, cache=cache), epochs=epochs) for run in runs]
    for fit in built:
        fit.model.to(dtype)
        fit.loss.to(dtype)
    return built


def trained(
    runs: Sequence[RunConfig], *, cache: Path, dtype: torch.dtype = torch.float64, epochs: int
) -> tuple[list[FusedFit], list[Fit], list[tuple[float, float]]]:
    """Fits trained together, the same ones by themselves, and both losses of every epoch and run."""
    together: list[FusedFit] = fits(runs, FusedFit, cache=cache, dtype=dtype, epochs=epochs)
    alone: list[Fit] = fits(runs, Alone, cache=cache, dtype=dtype, epochs=epochs)
    stack, losses = Stack(together[0], len(runs)), []
    for _ in range(epochs):
        train_together(stack, dict(enumerate(together)))
        losses += [
            (each.train_epoch().train_loss, other.train_epoch().train_loss)
            for each, other in zip(together, alone, strict=True)
        ]
    return together, alone, losses


def tensors(fit: Fit) -> dict[str, Tensor]:
    """Weights, buffers and the optimiser's state, by name."""
    state = fit.state_dict()
    found = {f"{part}.{name}": value for part, content in state["weights"].items() for name, value in content.items()}
    for number, content in state["optimizer"]["state"].items():
        found |= {f"{number}.{name}": torch.as_tensor(value) for name, value in content.items()}
    return found


def largest_difference(one: Fit, other: Fit, *, parts: tuple[str, ...] = ("",)) -> float:
    """Between tensors of two fits, in the largest value of the tensor where that is above 1.

    They must have the same names, shapes and types.
    """
    first, second = tensors(one), tensors(other)
    kinds = [{name: (value.shape, value.dtype) for name, value in each.items()} for each in (first, second)]
    assert kinds[0] == kinds[1]
    compared = [name for name in first if name.startswith(parts)]
    return max(_apart(first[name].double(), second[name].double()) for name in compared)


def _apart(one: Tensor, other: Tensor) -> float:
    return float((one - other).abs().max() / other.abs().max().clamp(min=1))
