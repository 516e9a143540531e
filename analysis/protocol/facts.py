"""What a run's configuration says of its protocol, a short text per fact; sections of later versions may be absent."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import PurePath
from typing import Any

from analysis.labels import value_text
from analysis.metrics import describe

Config = Mapping[str, Any]


@dataclass(frozen=True)
class Fact:
    """One fact, and how a sentence tells it.

    Attributes:
        name: what is said to differ where there are more values than `limit`.
        read: the value's text; empty where the run has none.
        template: what stands around one value, or around several.
        silent: the value that readers expect; it is told beside others only.
    """

    name: str
    read: Callable[[Config], str]
    template: str = "{}"
    silent: str = ""
    limit: int = 3


def at(config: Config, path: str, default: Any = None) -> Any:
    """The value at a dotted path."""
    value: Any = config
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return default if value is None else value


def _text(config: Config, *, path: str, default: Any = None) -> str:
    value = at(config, path, default)
    return f"{value:g}" if isinstance(value, float) else value_text(value)


def _value(name: str, path: str, template: str = "{}", *, default: Any = None, silent: str = "") -> Fact:
    return Fact(name, partial(_text, path=path, default=default), template, silent)


def network_name(config: Config) -> str:
    """The backbone with its architecture, its width where it is not the usual one, and its weights."""
    backbone = at(config, "backbone", {})
    width = backbone.get("width")
    name = [backbone.get("name"), backbone.get("architecture"), f"of width {width}" if width not in (None, 64) else ""]
    origin = [PurePath(backbone["weights"]).name] if backbone.get("weights") else []
    if revision := backbone.get("weights_revision"):
        origin.append(f"revision {revision[:12]}")
    loaded = f"(weights {', '.join(origin)})" if origin else ""
    return " ".join(filter(None, [*name, loaded]))


def embedding_dim(config: Config) -> str:
    """That of one model, where a run joins several."""
    models = len(at(config, "strategy.members", ())) or 1
    return value_text(at(config, "embedding_dim", 0) // models or None)


def batch_norm(config: Config) -> str:
    """What trains of it; empty where the whole backbone is frozen."""
    names = {"train": "trained", "frozen_statistics": "at fixed statistics", "frozen": "frozen"}
    policy = at(config, "backbone.batch_norm", "")
    return names.get(policy, policy) if at(config, "backbone.trainable", True) else ""


def _input(config: Config) -> str:
    """How pixels are scaled, where it is not as the backbone's weights were made for."""
    if at(config, "backbone.preprocessing", "imagenet") == "caffe":
        return "BGR 0–255 input"
    mean = at(config, "backbone.mean")
    if mean is None or list(mean) == _BN_INCEPTION_MEAN:
        return "usual"
    return f"input less BGR {', '.join(f'{value:g}' for value in mean)}"


_BN_INCEPTION_MEAN = [104, 117, 128]


def _steps(config: Config) -> str:
    return _text(config, path="training.steps_per_epoch") or "a pass over the images"


def _pooling(config: Config) -> str:
    kind = str(at(config, "backbone.pooling", "avg"))
    if at(config, "backbone.features") == "vector":
        return "the network's own"
    if kind != "gem":
        return kind
    learned = ", learned" if at(config, "backbone.gem_training") == "learned" else ""
    return f"gem (p = {at(config, 'backbone.gem_power', 3.0):g}{learned})"


def _head(config: Config) -> str:
    init = at(config, "head.init", "default")
    parts = [
        "without bias" if at(config, "head.bias", True) is False else "",
        "after layer norm" if at(config, "head.layer_norm", "none") == "before" else "",
        f"with {init} init" if init != "default" else "",
    ]
    return " and ".join(filter(None, parts)) or "linear"


def precision(config: Config) -> str:
    """Arithmetic of the forward pass."""
    return str(at(config, "training.precision") or ("bfloat16" if at(config, "device") == "cuda" else "float32"))


def _sampler(config: Config) -> str:
    name, images = at(config, "sampler.name", ""), at(config, "sampler.images_per_class")
    if images is not None:
        return f"{name} with {images} image{'s' * (images != 1)} per class"
    if name == "dense":
        return f"dense with {at(config, 'sampler.nearest', 5)} nearest"
    return str(name)


def _optimizer(config: Config) -> str:
    name = str(at(config, "optimizer.name", ""))
    usual = {"sgd": 0.9, "rmsprop": 0.0}.get(name)
    momentum = at(config, "optimizer.momentum", usual)
    told = f" with momentum {momentum:g}" if momentum != usual else ""
    return f"nesterov {name}{told}" if at(config, "optimizer.nesterov") else f"{name}{told}"


def _schedule(config: Config) -> str:
    schedule = at(config, "schedule", {})
    name = schedule.get("name", "constant")
    if name == "step":
        every, until = schedule["every"], schedule.get("until")
        when = (
            f"after epoch {every}" if until == every else f"every {every} epochs" + (f" until {until}" if until else "")
        )
        return f"lr × {schedule['gamma']:g} {when}"
    if name == "inverse_time":
        return f"lr / (1 + {schedule['decay']:g} t) at step t"
    return {"constant": "constant lr", "cosine": "cosine decay of lr"}.get(name, f"{name} schedule")


def _clipping(config: Config) -> str:
    norm, value = at(config, "training.clip_norm"), at(config, "training.clip_value")
    parts = [f"norm {norm:g}" if norm else "", f"± {value:g}" if value else ""]
    known = " and ".join(filter(None, parts))
    return f"gradients clipped at {known}" if known else "no clipping"


def _warmup(config: Config) -> str:
    return _text(config, path="training.warmup_epochs", default=0) if at(config, "backbone.trainable", True) else "0"


def _share(config: Config, *, path: str, default: float) -> str:
    return f"{100 * at(config, path, default):g} %"


def _epoch(config: Config) -> str:
    selection, protocol = at(config, "protocol.selection", ""), at(config, "protocol", {})
    if selection == "last":
        return "the last one, trained on all training classes"
    if selection != "best_validation":
        return str(selection)
    metric = describe(f"test_{protocol['select_by']}").label
    blocks = "contiguous folds" if protocol.get("partition") == "contiguous" else "folds"
    return f"best {metric} on validation classes (1 of {protocol['validation_folds']} {blocks} of the training classes)"


def _selected(config: Config, *, path: str, default: str) -> str:
    """A field of the protocol that only matters where validation selects the epoch."""
    return _text(config, path=f"protocol.{path}") or default if _selects(config) else ""


def _selects(config: Config) -> bool:
    return bool(at(config, "protocol.selection") == "best_validation")


def _refit(config: Config) -> str:
    again = {True: "then trained again on all training classes", False: "not trained again"}
    return again[bool(at(config, "protocol.refit", False))] if _selects(config) else ""


def training_crops(config: Config) -> str:
    """What becomes of training images; empty where nothing does, or features are cached."""
    if not at(config, "backbone.trainable", True) or at(config, "strategy.name") == "untrained":
        return ""
    low, high = at(config, "augmentation.crop_scale", (1, 1))
    area = f"random {100 * low:g}–{100 * high:g} % of the area" if (low, high) != (1, 1) else ""
    return " and ".join(filter(None, [area, "random mirroring" if at(config, "augmentation.flip") else ""]))


def evaluation_crop(config: Config) -> str:
    """What a network sees of an image in evaluation; empty where it is not known."""
    if "augmentation" not in config:
        return ""
    share = at(config, "augmentation.test_crop", 1.0)
    cut = share < 1 or crop_size(config) or at(config, "dataset.resize") == "whole"
    return f"the middle square of {100 * share:.4g} % of the short side" if cut else "whole images"


def _evaluation_crop(config: Config) -> str:
    both = training_crops(config) and evaluation_crop(config)
    return evaluation_crop(config) + (" for evaluation" if both else "")


def crop_size(config: Config) -> str:
    """Side in pixels of what a network sees; empty where it is that of the decoded images."""
    return value_text(at(config, "augmentation.crop_size"))


CROPS = (
    Fact("training crops", training_crops, "{} for training"),
    Fact("evaluation crop", _evaluation_crop),
    Fact("crop size", crop_size, "at {} px"),
)
NETWORK = (
    Fact("backbone", network_name, limit=8),
    Fact("input", _input, "{}", "usual"),
    Fact("training of the backbone", lambda c: "trained" if at(c, "backbone.trainable", True) else "frozen", "{}",
         "trained"),
    Fact("batch norm", batch_norm, "batch norm {}", "trained"),
    Fact("pooling", _pooling, "{} pooling", "avg"),
    Fact("head", _head, "head {}", "linear"),
    Fact("embedding dimension", embedding_dim, "embedding dimension {}"),
)  # fmt: skip
TRAINING = (
    _value("number of epochs", "training.epochs", "{} epochs"),
    Fact("steps of an epoch", _steps, "{} steps each", "a pass over the images"),
    _value("batch size", "training.batch_size", "batches of {}"),
    Fact("sampler", _sampler),
    Fact("optimizer", _optimizer),
    _value("learning rate", "optimizer.lr", "lr {}"),
    _value("eps", "optimizer.eps", "eps {}", silent="1e-08"),
    _value("weight decay", "optimizer.weight_decay", "weight decay {}", default=0.0, silent="0"),
    _value("lr of proxies", "optimizer.proxy_lr_multiplier", "proxies at {} × lr", default=1.0, silent="1"),
    _value("lr of the head", "optimizer.head_lr_multiplier", "head at {} × lr", default=1.0, silent="1"),
    Fact("schedule", _schedule, silent="constant lr"),
    _value("warm-up of lr", "training.lr_warmup_epochs", "lr rising for {} epochs", default=0, silent="0"),
    Fact("warm-up", _warmup, "head and proxies alone for {} epochs", "0"),
    Fact("clipping", _clipping, silent="no clipping"),
    Fact("precision", precision, silent="float32"),
    Fact("label noise", partial(_share, path="training_set.label_noise", default=0.0), "{} of labels wrong", "0 %"),
    Fact("share of classes", partial(_share, path="training_set.class_fraction", default=1.0), "on {} of the classes",
         "100 %"),
)  # fmt: skip
EPOCH = (
    Fact("choice", _epoch),
    Fact("evaluation interval", partial(_selected, path="evaluate_every", default="1"), "measured every {} epochs",
         "1"),
    Fact("patience", partial(_selected, path="patience", default="no"), "ended by {} evaluations without a better one",
         "no"),
    Fact("refit", _refit, silent="not trained again"),
)  # fmt: skip
