"""Configuration of the datasets. A new dataset: one class here, one loader that `implementation` names, one line."""

from typing import ClassVar, Literal

from pydantic import Field

from trainables.parts import Part, hidden, registered


class DatasetConfig(Part):
    """Labelled images. `label` is what tables call the dataset; `revision` is the hash of its content."""

    label: str = hidden("")
    """Name in tables and in `compare.dataset`; the part's name where empty."""
    revision: str = ""
    """Hash of sorted (path, size, sha256) of every file; filled in when a study is planned."""

    @property
    def title(self) -> str:
        return self.label or self.name


class Glyphs(DatasetConfig):
    """Embedded: every class is one rendered character shape of the fonts that ship with matplotlib."""

    name: Literal["glyphs"] = "glyphs"
    classes: int = Field(300, ge=4, le=2000)
    """Distinct shapes; half of them train, the other half test."""
    images_per_class: int = Field(20, ge=2, le=1000)
    image_size: int = Field(28, ge=16, le=128)
    """Side in pixels."""
    difficulty: float = Field(1.0, ge=0, le=2)
    """Strength of the random affine map, stroke change and noise; 0 draws every image of a class the same."""
    implementation: ClassVar[str] = "trainables.datasets.glyphs:Glyphs"


class ImageFolder(DatasetConfig):
    """A directory or zip of `<split>/<class>/<image>`, or a CSV file with the columns path, label, split."""

    name: Literal["image_folder"] = "image_folder"
    path: str = hidden()
    """Directory, .zip or .csv; relative ones are looked up beside the spec, then in the data directory."""
    image_size: int = Field(64, ge=8, le=1024)
    """Side in pixels of the decoded, square images."""
    channels: Literal[1, 3] = 3
    resize: Literal["squash", "crop"] = "squash"
    """squash: to a square, whatever the aspect; crop: short side to the size, then the centre."""
    implementation: ClassVar[str] = "trainables.datasets.image_folder:ImageFolder"


DATASETS: dict[str, type[Part]] = registered(Glyphs, ImageFolder)
