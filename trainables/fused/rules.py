"""Which runs can train together, and in what they may differ. Free of torch: planning asks."""

import json
from typing import Any

from trainables.backbones.config import BackboneConfig
from trainables.config import RunConfig
from trainables.losses.config import LossConfig
from trainables.parts import Part
from trainables.synthesis.config import SynthesisConfig

OPTIMIZERS = ("adam", "adamw", "sgd", "rmsprop")
"""Those that `trainables.fused.optimizer` knows."""

_OWN_RATES = ("lr", "weight_decay", "eps", "alpha", "proxy_lr_multiplier", "head_lr_multiplier")
_OWN_SYNTHESIS = ("mixup_alpha",)
_CLIPPING = ("clip_norm", "clip_value")


def refusal(run: RunConfig) -> str | None:
    """Why a run cannot train together with others; None where it can."""
    run = run.simplified()
    return next((reason for reason in _reasons(run) if reason), None)


def _reasons(run: RunConfig) -> tuple[str | None, ...]:
    def unless(allowed: bool, reason: str) -> str | None:
        return None if allowed else reason

    trained = f"backbone '{run.backbone.name}' is trained, and fills a GPU by itself"
    return (
        unless(run.strategy.name == "plain", f"strategy '{run.strategy.name}' organises its training itself"),
        unless(_says_so(run.loss), _refused_loss(run)),
        unless(_says_so(run.synthesis), _refused_synthesis(run)),
        unless(_says_so(run.backbone) or not run.backbone.trainable, trained),
        unless(run.optimizer.name in OPTIMIZERS, f"optimizer '{run.optimizer.name}' has no stacked form"),
        unless(run.protocol.patience is None, "protocol.patience ends every run at an epoch of its own"),
        unless(not run.training.compile, "training.compile compiles the network of one run"),
        unless(run.sampler.name != "dense", "sampler 'dense' gives batches of different sizes"),
        unless(run.training_set.class_fraction == 1, "training_set.class_fraction gives every seed other classes"),
        unless(run.precision != "float16", "precision float16 scales the loss of a run by what happens to it"),
    )


def _says_so(part: LossConfig | SynthesisConfig | BackboneConfig) -> bool:
    """Whether the class that brings the implementation says that it `fuses`: one that inherits it may do otherwise."""
    owner = next(cls for cls in type(part).__mro__ if "implementation" in vars(cls))
    return "fuses" in vars(owner) and bool(part.fuses)


def _refused_loss(run: RunConfig) -> str:
    loss = run.loss
    if loss.is_pairwise:
        return f"loss '{loss.name}' chooses pairs by their embeddings"
    if loss.target == "distance":
        return f"loss '{loss.name}' compares label distances"
    if loss.stateful:
        return f"loss '{loss.name}' keeps a state of its own"
    return f"loss '{loss.name}' does not say that it `fuses`"


def _refused_synthesis(run: RunConfig) -> str:
    synthesis = run.synthesis
    if synthesis.name == "proxy_synthesis":
        return "synthesis.pairing nearest_proxy looks at the proxies in every step"
    return f"synthesis '{synthesis.name}' does more in a step than stacked runs can share"


def own_numbers(part: Part) -> tuple[str, ...]:
    """The fields of a loss that its runs may differ in: numbers with a fraction."""
    return tuple(key for key, field in type(part).model_fields.items() if field.annotation is float)


def fusing_key(run: RunConfig) -> str:
    """Equal for runs with equal shapes and step counts, which can train together where nothing refuses them."""
    content = run.identity()
    for key in ("seed", "schedule"):
        content.pop(key, None)
    training = _without(content["training"], "lr_warmup_epochs", *_CLIPPING)
    clipping = {key: getattr(run.training, key) is not None for key in _CLIPPING}
    content |= {
        "loss": _without(content["loss"], *own_numbers(run.loss)),
        "synthesis": _without(content["synthesis"], *_OWN_SYNTHESIS),
        "optimizer": _without(content["optimizer"], *_OWN_RATES),
        "training": {**training, **clipping},
    }
    return json.dumps(content, sort_keys=True, separators=(",", ":"))


def _without(content: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in content.items() if key not in keys}
