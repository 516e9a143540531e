"""`model.json`: what an exported model is, where it comes from, and the checksums of the files beside it."""

import hashlib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SerializeAsAny, ValidationError

from trainables.backbones.config import BACKBONES, BackboneConfig
from trainables.config import RunConfig
from trainables.errors import DataError
from trainables.head_config import Head
from trainables.parts import Config, part_validator

MANIFEST, PREPROCESSING, WEIGHTS, ONNX, CARD = (
    "model.json",
    "preprocessing.json",
    "model.safetensors",
    "model.onnx",
    "README.md",
)
_VERSION = 1
_REMEDY = "export the model again"


class Network(Config):
    """What the network is built from; its weights stand in `model.safetensors`."""

    backbone: Annotated[SerializeAsAny[BackboneConfig], part_validator(BACKBONES, "backbone")]
    head: Head
    embedding_dim: int
    channels: int
    """Of the images."""

    @property
    def run(self) -> RunConfig:
        """A run with this network; all else at its defaults."""
        return RunConfig(backbone=self.backbone, head=self.head, embedding_dim=self.embedding_dim)


class Port(Config):
    """A tensor that goes into the network or comes out of it."""

    name: str
    shape: tuple[str | int, ...]
    dtype: Literal["float32"] = "float32"
    about: str


class Parity(Config):
    """How far embeddings of real images are from those of the run's network.

    Attributes:
        images: how many test images were compared.
        largest_difference: of any two values.
        relative: the same, in multiples of the largest value.
        tolerance: of `relative`; a larger one is not written.
    """

    images: int
    largest_difference: float
    relative: float
    tolerance: float


class Manifest(Config):
    """The content of `model.json`."""

    format: Literal["dml-study model"] = "dml-study model"
    format_version: int = Field(_VERSION, ge=1)
    run_id: str
    study: str
    network: Network
    input: Port
    output: Port
    distance: str
    """That embeddings are compared by; with `cosine` normalise them, or compare cosines."""
    training_classes: tuple[str, ...]
    """Names of the classes that the network was trained on."""
    metrics: dict[str, float]
    """Of the run, as fractions."""
    protocol: str
    provenance: dict[str, Any]
    parity: dict[str, Parity]
    """By what was compared with the run's network."""
    files: dict[str, str]
    """SHA-256 of the other files."""


def read_manifest(folder: Path) -> Manifest:
    """
    Raises:
        DataError: the folder has none, or one of another version.
    """
    path = folder / MANIFEST
    try:
        manifest = Manifest.model_validate_json(read_file(path))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise DataError(f"{path} is damaged or of another version ({where}: {first['msg']}); {_REMEDY}") from error
    if manifest.format_version != _VERSION:
        raise DataError(
            f"{path} has format version {manifest.format_version}, this program reads {_VERSION}; "
            "use the version of dml-study that wrote it"
        )
    return manifest


def verified(folder: Path, name: str, manifest: Manifest) -> bytes:
    """The content of a file that the manifest names.

    Raises:
        DataError: it was not exported, is missing, or has another checksum.
    """
    if name not in manifest.files:
        raise DataError(f"{folder} has no {name}: it was exported without; {_REMEDY}")
    content = read_file(folder / name)
    if checksum(content) != manifest.files[name]:
        raise DataError(f"{folder / name} was changed since it was exported: another checksum; {_REMEDY}")
    return content


def read_file(path: Path) -> bytes:
    """
    Raises:
        DataError: there is none, or it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}; give a folder that `dml-study export model` wrote") from error


def checksum(content: bytes) -> str:
    """SHA-256 in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()
