"""Architectures of timm (PyTorch Image Models), an optional installation, without their classifiers."""

from typing import Any

from trainables.backbones.base import IMAGENET_MEAN, IMAGENET_STD, MapBody, Network, color_channels
from trainables.backbones.config import Timm, ViTSmall
from trainables.errors import ConfigError
from trainables.spelling import nearest


def build(config: Timm | ViTSmall, *, channels: int) -> Network:
    """The model with random weights; images are normalised with the mean and std that timm notes for it.

    Raises:
        ConfigError: timm is not installed, does not know the architecture, or that one has no `image_size`; or images
            with neither one nor three channels.
    """
    channels = color_channels(config, channels)
    model = _create(config)
    about = model.pretrained_cfg
    width = getattr(model, "head_hidden_size", model.num_features)
    mean, std = about.get("mean", IMAGENET_MEAN), about.get("std", IMAGENET_STD)
    classifiers = about.get("classifier") or ()
    prefixes = tuple(f"{name}." for name in ((classifiers,) if isinstance(classifiers, str) else classifiers))

    def file_key(key: str) -> str | None:
        return None if key.startswith(prefixes) else f"model.{key}"

    body = MapBody(
        model,
        prefix_tokens=int(getattr(model, "num_prefix_tokens", 0)),
        channels_last=str(getattr(model, "output_fmt", "NCHW")).endswith("NHWC"),
    )
    return Network(body, width, channels, tuple(mean), tuple(std), file_key=file_key)


def _create(config: Timm | ViTSmall) -> Any:
    timm = _timm(config.name)
    if not timm.is_model(config.architecture):
        hint = nearest(config.architecture.split(".")[0], timm.list_models())
        raise ConfigError(f"backbone.architecture: timm has no '{config.architecture}'; {_short(hint)}")
    arguments: dict[str, Any] = {} if config.image_size is None else {"img_size": config.image_size}
    if config.features == "map":
        arguments["global_pool"] = ""
    try:
        return timm.create_model(config.architecture, pretrained=False, num_classes=0, **arguments)
    except (TypeError, AssertionError, RuntimeError) as error:  # whatever the architecture does not take
        raise ConfigError(
            f"backbone: timm cannot build '{config.architecture}' with features '{config.features}' and image_size "
            f"{config.image_size} ({error}); leave image_size out for a network that is not built for one size, and "
            "take features 'vector' where it has no map"
        ) from error


def _timm(name: str) -> Any:
    try:
        import timm  # late: optional, and slow to import
    except ImportError as error:
        raise ConfigError(
            f"backbone '{name}' needs the package timm ({error}); install it with: pip install \"dml-study[timm]\""
        ) from error
    return timm


def _short(hint: str) -> str:
    """timm knows more than a thousand names: too many for a message."""
    return hint if hint.startswith("did") else "timm.list_models() has them all"
