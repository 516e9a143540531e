"""Configuration of the backbones. A new backbone: one class here, one builder that `implementation` names, one line."""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field

from trainables.parts import Part, added, at_defaults, hidden, registered

PoolingName = Literal["avg", "max", "avg+max", "gem"]
BatchNormPolicy = Literal["train", "frozen_statistics", "frozen"]
PixelValue = Annotated[float, Field(ge=0, le=255)]
_CAFFE_MEAN = (104.0, 117.0, 128.0)


def _own_name(pooling: Any) -> Any:
    """avg+max for sum, the word that the field's papers have for it."""
    return "avg+max" if pooling == "sum" else pooling


_WrittenPooling = BeforeValidator(_own_name, json_schema_input_type=Literal["avg", "max", "avg+max", "sum", "gem"])


class BackboneConfig(Part):
    """A network from images to features; the embedding head comes after it."""

    fuses: ClassVar[bool] = False
    """Whether runs that train it can do so together (`trainables.fused`): a network that is too small to fill a GPU,
    without dropout."""

    trainable: bool = True
    """false: frozen in evaluation mode; features are computed once per dataset and cached."""
    pooling: Annotated[PoolingName, _WrittenPooling] = "avg"
    """Over the last feature map; avg+max, or sum, adds the two, gem is the generalised mean (Radenovic et al., TPAMI
    2019)."""
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
    fuses: ClassVar[bool] = True
    width: int = Field(64, ge=1)
    """Channels of every block."""
    implementation: ClassVar[str] = "trainables.backbones.conv4:build"


class TorchvisionConfig(BackboneConfig):
    """An architecture that torchvision has under the part's name."""

    implementation: ClassVar[str] = "trainables.backbones.torchvision_models:build"

    def weights_source(self, file: str) -> str:
        return _saved_from_torchvision(self.name, file)


class ResNetConfig(TorchvisionConfig):
    """A ResNet of torchvision, with weights of torchvision's kind or of Caffe's."""

    preprocessing: Literal["imagenet", "caffe"] = added("imagenet", legacy="imagenet")
    """imagenet: RGB, normalised with ImageNet's mean and deviation; caffe: BGR in 0..255 less (103.939, 116.779,
    123.68), for weights that come from Caffe (the code of the log-ratio paper)."""


class ResNet18(ResNetConfig):
    """ResNet-18 of torchvision."""

    name: Literal["resnet18"] = "resnet18"


class ResNet34(ResNetConfig):
    """ResNet-34 of torchvision."""

    name: Literal["resnet34"] = "resnet34"


class ResNet50(ResNetConfig):
    """ResNet-50 of torchvision."""

    name: Literal["resnet50"] = "resnet50"


class ResNet101(ResNetConfig):
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
    mean: tuple[PixelValue, PixelValue, PixelValue] = added(_CAFFE_MEAN, legacy=_CAFFE_MEAN)
    """Blue, green and red in 0..255 that images are less of: (103.53, 116.28, 123.675) is ImageNet's mean."""
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


class LibraryConfig(BackboneConfig):
    """An architecture of a library, by the name that it has there."""

    features: Literal["map", "vector"] = "map"
    """map: the last feature map, or a transformer's patch tokens, for `pooling`; vector: what the library itself would
    classify, the class token of most transformers."""
    image_size: int | None = Field(None, ge=1)
    """Side in pixels for which a transformer is built; the library's default for the architecture where none."""

    def simplified(self) -> Self:
        config = super().simplified()
        if self.features == "map":
            return config
        return at_defaults(config, "pooling", "gem_power", "gem_training")


class Torchvision(LibraryConfig):
    """Any classification model of torchvision, like resnext50_32x4d, convnext_tiny or vit_b_16."""

    name: Literal["torchvision"] = "torchvision"
    architecture: str = Field(pattern=r"^\w+$")
    """torchvision's name of it."""
    implementation: ClassVar[str] = "trainables.backbones.torchvision_graphs:build"

    def weights_source(self, file: str) -> str:
        return _saved_from_torchvision(self.architecture, file)


class Timm(LibraryConfig):
    """Any architecture of timm, PyTorch Image Models, an optional installation: pip install "dml-study[timm]"."""

    name: Literal["timm"] = "timm"
    architecture: str = Field(pattern=r"^[\w.]+$")
    """timm's name of it, like resnet50d or vit_small_patch16_224."""
    implementation: ClassVar[str] = "trainables.backbones.timm_models:build"

    def weights_source(self, file: str) -> str:
        return _saved_from_timm(self.architecture, file)


class ViTSmall(LibraryConfig):
    """ViT-S/16, timm's vit_small_patch16_224, with its class token by default; needs timm as well."""

    name: Literal["vit_small"] = "vit_small"
    architecture: ClassVar[str] = "vit_small_patch16_224"
    features: Literal["map", "vector"] = "vector"
    """vector: the class token; map: the patch tokens, for `pooling`."""
    implementation: ClassVar[str] = "trainables.backbones.timm_models:build"

    def weights_source(self, file: str) -> str:
        return _saved_from_timm(self.architecture, file)


def _saved_from_torchvision(architecture: str, file: str) -> str:
    return _saved_elsewhere(f'torchvision.models.get_model("{architecture}", weights="DEFAULT")', file)


def _saved_from_timm(architecture: str, file: str) -> str:
    return _saved_elsewhere(f'timm.create_model("{architecture}", pretrained=True)', file)


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
    Torchvision,
    Timm,
    ViTSmall,
    base=BackboneConfig,
    group="dml_study.backbones",
)
