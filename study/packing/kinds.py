"""Which runs need equally much memory of a GPU."""

import hashlib
import json
from typing import Any

from trainables.config import RunConfig
from trainables.parts import identity

_SECTIONS = ("dataset", "backbone", "head", "loss", "synthesis", "strategy", "sampler", "augmentation", "optimizer")
_TRAINING = ("batch_size", "precision", "memory_format")
_LEFT_OUT = ("teacher", "members", "numerics_version", "revision", "weights_revision")
"""Say which run or which version, and nothing about sizes."""


def kind_of(run: RunConfig) -> str:
    """The same text for runs that differ in seeds, folds, epochs, rates and other numbers with a fraction alone.

    It begins with what a person would call them: "cub200/resnet50/norm_softmax/none/plain/5f0c1c2d".
    """
    run = run.simplified()
    sizes: dict[str, Any] = {section: _sizes(identity(getattr(run, section))) for section in _SECTIONS}
    training = run.training.model_dump()
    sizes |= {key: training[key] for key in _TRAINING}
    sizes |= {"embedding_dim": run.embedding_dim, "precision": run.precision, "refit": run.protocol.refit}
    digest = hashlib.sha256(json.dumps(sizes, sort_keys=True).encode()).hexdigest()[:8]
    loss = run.strategy.objective or run.loss.name
    return "/".join((run.dataset.title, run.backbone.name, loss, run.synthesis.name, run.strategy.name, digest))


def _sizes(content: Any) -> Any:
    """Whole numbers, names and choices; a scale or a margin takes no memory."""
    if isinstance(content, dict):
        kept = {key: value for key, value in content.items() if key not in _LEFT_OUT and not isinstance(value, float)}
        return {key: _sizes(value) for key, value in kept.items()}
    return content
