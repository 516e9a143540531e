"""Architectures of timm (PyTorch Image Models), an optional installation, without their classifiers."""

from typing import Any

from torch import Tensor, nn

from trainables.backbones.base import IMAGENET_MEAN, IMAGENET_STD, Network, color_channels
from trainables.backbones.config import Timm
from trainables.errors import ConfigError
from trainables.parts import nearest


class TimmBody(nn.Module):
    """A model of timm without classifier, whose features always come as a map.

    Args:
        model: of timm, created with `num_classes=0`, and with `global_pool=""` for a map.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """Images [B, 3, H, W] to [B, F, h, w]; patch tokens have w = 1, vectors h = w = 1."""
        features: Tensor = self.model(images)
        if features.ndim == 2:
            return features[:, :, None, None]
        if features.ndim == 3:  # tokens, those of the class and registers first
            return features[:, int(getattr(self.model, "num_prefix_tokens", 0)) :].transpose(1, 2).unsqueeze(3)
        return features.permute(0, 3, 1, 2) if _channels_come_last(self.model) else features


def build(config: Timm, *, channels: int) -> Network:
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

    return Network(TimmBody(model), width, channels, tuple(mean), tuple(std), file_key=file_key)


def _create(config: Timm) -> Any:
    timm = _timm()
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


def _timm() -> Any:
    try:
        import timm  # late: optional, and slow to import
    except ImportError as error:
        raise ConfigError(
            f"backbone 'timm' needs the package timm ({error}); install it with: pip install \"dml-study[timm]\""
        ) from error
    return timm


def _short(hint: str) -> str:
    """timm knows more than a thousand names: too many for a message."""
    return hint if hint.startswith("did") else "timm.list_models() has them all"


def _channels_come_last(model: Any) -> bool:
    return str(getattr(model, "output_fmt", "NCHW")).endswith("NHWC")
