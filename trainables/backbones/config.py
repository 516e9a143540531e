"""Configuration of the backbones. A new backbone: one class here, one builder that `implementation` names, one line."""

from typing import ClassVar, Literal, Self

from pydantic import Field

from trainables.parts import Part, at_defaults, hidden, registered


class BackboneConfig(Part):
    """A network from images to features; the embedding head comes after it."""

    trainable: bool = True
    """false: frozen in evaluation mode; features are computed once per dataset and cached."""
    pooling: Literal["avg", "max", "avg+max"] = "avg"
    """Over the last feature map; avg+max is their sum."""
    batch_norm: Literal["train", "frozen_statistics", "frozen"] = "train"
    """frozen_statistics: running statistics stay, affine weights train; frozen: neither changes."""
    weights: str | None = hidden(None)
    """File with a state dict; none starts from random weights."""
    weights_revision: str = ""
    """Hash of the weights file; filled in when a study is planned."""

    def simplified(self) -> Self:
        return self if self.trainable else at_defaults(self, "batch_norm")


class Conv4(BackboneConfig):
    """Four blocks of convolution, batch norm, ReLU and 2x2 max pooling: small enough for a CPU."""

    name: Literal["conv4"] = "conv4"
    width: int = Field(64, ge=1)
    """Channels of every block."""
    implementation: ClassVar[str] = "trainables.backbones.conv4:build"


class ResNet18(BackboneConfig):
    """ResNet-18 of torchvision."""

    name: Literal["resnet18"] = "resnet18"
    implementation: ClassVar[str] = "trainables.backbones.torchvision_models:build"


class ResNet50(BackboneConfig):
    """ResNet-50 of torchvision."""

    name: Literal["resnet50"] = "resnet50"
    implementation: ClassVar[str] = "trainables.backbones.torchvision_models:build"


class MobileNetV2(BackboneConfig):
    """MobileNetV2 of torchvision."""

    name: Literal["mobilenet_v2"] = "mobilenet_v2"
    implementation: ClassVar[str] = "trainables.backbones.torchvision_models:build"


BACKBONES = registered(Conv4, ResNet18, ResNet50, MobileNetV2, base=BackboneConfig, group="dml_study.backbones")
