"""Configuration of the backbones. A new backbone: one class here, one builder that `implementation` names, one line."""

from typing import ClassVar, Literal, Self

from pydantic import Field

from trainables.parts import Part, added, at_defaults, hidden, registered

PoolingName = Literal["avg", "max", "avg+max", "gem"]
BatchNormPolicy = Literal["train", "frozen_statistics", "frozen"]


class BackboneConfig(Part):
    """A network from images to features; the embedding head comes after it."""

    trainable: bool = True
    """false: frozen in evaluation mode; features are computed once per dataset and cached."""
    pooling: PoolingName = "avg"
    """Over the last feature map; avg+max is their sum, gem the generalised mean (Radenovic et al., TPAMI 2019)."""
    gem_power: float = added(3.0, legacy=3.0, gt=0)
    """Exponent p of gem: 1 is the mean, large ones come close to the maximum."""
    gem_training: Literal["fixed", "learned"] = added("fixed", legacy="fixed")
    """Whether gem's exponent is trained with the backbone."""
    batch_norm: BatchNormPolicy = "train"
    """frozen_statistics: running statistics stay, affine weights train; frozen: neither changes."""
    weights: str | None = hidden(None)
    """File with a state dict; none starts from random weights."""
    weights_revision: str = ""
    """Hash of the weights file; filled in when a study is planned."""

    def simplified(self) -> Self:
        config = self if self.trainable else self.untrained()
        return config if self.pooling == "gem" else at_defaults(config, "gem_power", "gem_training")

    def untrained(self) -> Self:
        """The same backbone without what matters in training alone."""
        return at_defaults(self, "batch_norm", "gem_training")

    def weights_source(self, file: str) -> str | None:
        """How to get a file with pretrained weights, as the end of a sentence; None where there are none.

        Args:
            file: the name to save it under.
        """
        return None


class Conv4(BackboneConfig):
    """Four blocks of convolution, batch norm, ReLU and 2x2 max pooling: small enough for a CPU."""

    name: Literal["conv4"] = "conv4"
    width: int = Field(64, ge=1)
    """Channels of every block."""
    implementation: ClassVar[str] = "trainables.backbones.conv4:build"


class TorchvisionConfig(BackboneConfig):
    """An architecture that torchvision has under the part's name."""

    implementation: ClassVar[str] = "trainables.backbones.torchvision_models:build"

    def weights_source(self, file: str) -> str:
        return _saved_elsewhere(f'torchvision.models.get_model("{self.name}", weights="DEFAULT")', file)


class ResNet18(TorchvisionConfig):
    """ResNet-18 of torchvision."""

    name: Literal["resnet18"] = "resnet18"


class ResNet34(TorchvisionConfig):
    """ResNet-34 of torchvision."""

    name: Literal["resnet34"] = "resnet34"


class ResNet50(TorchvisionConfig):
    """ResNet-50 of torchvision."""

    name: Literal["resnet50"] = "resnet50"


class ResNet101(TorchvisionConfig):
    """ResNet-101 of torchvision."""

    name: Literal["resnet101"] = "resnet101"


class GoogLeNet(TorchvisionConfig):
    """GoogLeNet of torchvision, with batch norm and without auxiliary classifiers."""

    name: Literal["googlenet"] = "googlenet"


class MobileNetV2(TorchvisionConfig):
    """MobileNetV2 of torchvision."""

    name: Literal["mobilenet_v2"] = "mobilenet_v2"


class SqueezeNet(TorchvisionConfig):
    """SqueezeNet 1.0 of torchvision, for images of 21 pixels and more. It has no batch norm."""

    name: Literal["squeezenet1_0"] = "squeezenet1_0"


class BNInception(BackboneConfig):
    """Inception with batch norm in the Caffe version that the field's papers use: BGR images in 0..255."""

    name: Literal["bn_inception"] = "bn_inception"
    momentum: float = Field(0.9, gt=0, le=1)
    """Share of the newest batch in batch norm's running statistics: 0.9 in the papers' code, 0.1 is torch's default."""
    implementation: ClassVar[str] = "trainables.backbones.bn_inception:build"

    def untrained(self) -> Self:
        return at_defaults(super().untrained(), "momentum")

    def simplified(self) -> Self:
        config = super().simplified()
        return config if self.batch_norm == "train" else at_defaults(config, "momentum")

    def weights_source(self, file: str) -> str:
        return (
            "download http://data.lip6.fr/cadene/pretrainedmodels/bn_inception-52deb4733.pth "
            f'on a machine with a network and copy it to "{file}"'
        )


class Timm(BackboneConfig):
    """Any architecture of timm, PyTorch Image Models, an optional installation: pip install "dml-study[timm]"."""

    name: Literal["timm"] = "timm"
    architecture: str = Field(pattern=r"^[\w.]+$")
    """timm's name of it, like resnet50d or vit_small_patch16_224."""
    features: Literal["map", "vector"] = "map"
    """map: the last feature map, or a transformer's patch tokens, for `pooling`; vector: what timm itself would
    classify, the class token of most transformers."""
    image_size: int | None = Field(None, ge=1)
    """Side in pixels for which a transformer is built; timm's default for the architecture where none."""
    implementation: ClassVar[str] = "trainables.backbones.timm_models:build"

    def simplified(self) -> Self:
        config = super().simplified()
        if self.features == "map":
            return config
        return at_defaults(config, "pooling", "gem_power", "gem_training")

    def weights_source(self, file: str) -> str:
        return _saved_elsewhere(f'timm.create_model("{self.architecture}", pretrained=True)', file)


def _saved_elsewhere(model: str, file: str) -> str:
    return f'run this on a machine with a network and copy the file: torch.save({model}.state_dict(), "{file}")'


BACKBONES = registered(
    Conv4,
    ResNet18,
    ResNet34,
    ResNet50,
    ResNet101,
    GoogLeNet,
    MobileNetV2,
    SqueezeNet,
    BNInception,
    Timm,
    base=BackboneConfig,
    group="dml_study.backbones",
)
