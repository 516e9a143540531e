"""Configuration of the datasets. A new dataset: one class here, one loader that `implementation` names, one line."""

from typing import Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from trainables.metrics import needs_targets
from trainables.parts import Part, added, at_defaults, hidden, registered

Published = dict[str, tuple[int, int] | None]
"""Images and classes of each split; None where no count is published."""


class DatasetConfig(Part):
    """Labelled images. `label` is what tables call the dataset; `revision` is the hash of its content."""

    label: str = hidden("")
    """Name in tables and in `compare.dataset`; the part's name where empty."""
    revision: str = ""
    """Hash of sorted (path, size, sha256) of every file; filled in when a study is planned."""
    decode: Literal["once", "each_time"] = hidden("once")
    """once: into an array on disk that all runs share; each_time: whenever an image is needed, for sets whose array the
    disk does not hold. The numbers are the same."""

    @property
    def title(self) -> str:
        return self.label or self.name

    @property
    def has_targets(self) -> bool:
        """Whether images have continuous labels beside their classes."""
        return False

    def refusal(self, run: Any) -> str | None:
        if self.has_targets or not needs_targets(run.protocol.select_by):
            return None
        return (
            f"protocol.select_by '{run.protocol.select_by}' needs continuous labels and dataset '{self.title}' has "
            "classes only; select by 'map_at_r', or name number columns of its label file in dataset.target_columns"
        )


class Glyphs(DatasetConfig):
    """Embedded: every class is one rendered character shape of the fonts that ship with matplotlib."""

    name: Literal["glyphs"] = "glyphs"
    classes: int = Field(300, ge=4, le=2000)
    """Distinct shapes; half of them train, the other half test."""
    skip: int = added(0, legacy=0, ge=0, le=2000)
    """Shapes of the fixed order that are passed over: data sets of different stretches share no shape."""
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
    resize: Literal["squash", "crop", "whole"] = "squash"
    """squash: to a square, whatever the aspect; crop: short side to the size, then the centre, so that random crops see
    no margins; whole: squashed, and crops are made of the image as it was, margins and aspect included."""
    target_columns: tuple[str, ...] = added((), legacy=())
    """Number columns that are the images' continuous label, of the CSV file or of `labels.csv` beside the splits."""
    target_period: float | None = added(None, legacy=None, gt=0)
    """Where the numbers start again, 360 for angles in degrees; each column goes around for itself."""
    target_groups: Literal["all", "class"] = added("all", legacy="all")
    """Which images have comparable labels: all of them, or those of one class (angles of different objects)."""
    path_column: str = added("path", legacy="path", min_length=1)
    """Columns of a CSV file: the image, relative to the file; its class; train or test, or train, query or gallery."""
    label_column: str = added("label", legacy="label", min_length=1)
    split_column: str = added("split", legacy="split", min_length=1)
    implementation: ClassVar[str] = "trainables.datasets.image_folder:ImageFolder"

    @field_validator("target_columns")
    @classmethod
    def _distinct(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) < len(value):
            raise ValueError(f"names a column twice: {', '.join(value)}")
        return value

    @model_validator(mode="after")
    def _targets_are_named(self) -> Self:
        if not self.target_columns and (self.target_period is not None or self.target_groups != "all"):
            raise ValueError("target_period and target_groups say how target_columns compare; name the columns too")
        return self

    @property
    def has_targets(self) -> bool:
        return bool(self.target_columns)

    def simplified(self) -> "ImageFolder":
        """Without names of columns where there is no CSV file."""
        named = self.path.lower().endswith(".csv")
        return self if named else at_defaults(self, "path_column", "label_column", "split_column")


class Benchmark(DatasetConfig):
    """A public dataset in the folder that its official archive becomes, with the class-disjoint split of the field."""

    path: str = hidden()
    """Folder; a relative one is looked up beside the spec, then in the data directory."""
    image_size: int = Field(256, ge=8, le=1024)
    """Side in pixels of the decoded, square images, which are RGB."""
    resize: Literal["squash", "crop", "whole"] = "crop"
    """As of image_folder; with `whole` random crops see the margins too."""
    counts: Literal["checked", "any"] = hidden("checked")
    """checked: images and classes of each split must be as many as published; any: a subset is fine."""
    published: ClassVar[Published]


class Cub200(Benchmark):
    """CUB-200-2011 (Wah et al., 2011): 200 kinds of birds; class ids 1-100 train, 101-200 test."""

    name: Literal["cub200"] = "cub200"
    path: str = hidden("CUB_200_2011")
    """Folder with images.txt, image_class_labels.txt, classes.txt and images/."""
    published: ClassVar[Published] = {"train": (5864, 100), "test": (5924, 100)}
    implementation: ClassVar[str] = "trainables.datasets.cub200:Cub200"


class Cars196(Benchmark):
    """Cars-196 (Krause et al., 2013): 196 models of cars; class ids 1-98 train, 99-196 test."""

    name: Literal["cars196"] = "cars196"
    path: str = hidden("cars196")
    """Folder with cars_annos.mat and car_ims/; or with devkit/, cars_train/ and cars_test/, or with names.csv,
    anno_train.csv, anno_test.csv and car_data/, whose two sides are merged."""
    published: ClassVar[Published] = {"train": (8054, 98), "test": (8131, 98)}
    implementation: ClassVar[str] = "trainables.datasets.cars196:Cars196"


class Sop(Benchmark):
    """Stanford Online Products (Oh Song et al., CVPR 2016): 22,634 products; its two lists are the splits."""

    name: Literal["sop"] = "sop"
    path: str = hidden("Stanford_Online_Products")
    """Folder with Ebay_train.txt, Ebay_test.txt and the folders of images that they name."""
    published: ClassVar[Published] = {"train": (59551, 11318), "test": (60502, 11316)}
    implementation: ClassVar[str] = "trainables.datasets.sop:Sop"


class InShop(Benchmark):
    """In-shop Clothes Retrieval (Liu et al., DeepFashion, CVPR 2016): test queries search a gallery of their own."""

    name: Literal["inshop"] = "inshop"
    path: str = hidden("In-shop")
    """Folder with list_eval_partition.txt (in Eval/, Anno/, or itself) and img/ (in Img/, or itself)."""
    images: Literal["img", "img_highres"] = "img"
    """Which of the two folders of images: 256 pixels, or the large ones."""
    published: ClassVar[Published] = {
        "train": (25882, 3997),
        "query": (14218, 3985),
        "gallery": (12612, 3985),
    }
    implementation: ClassVar[str] = "trainables.datasets.inshop:InShop"


class Omniglot(Benchmark):
    """Omniglot (Lake et al., Science 2015): 1,623 handwritten characters; background trains, evaluation tests."""

    name: Literal["omniglot"] = "omniglot"
    path: str = hidden("omniglot")
    """Folder with images_background/ and images_evaluation/ of alphabet/character/*.png."""
    image_size: int = Field(105, ge=8, le=1024)
    """Side in pixels of the decoded, square images; the drawings have 105."""
    channels: Literal[1, 3] = 1
    """3 where a network wants colour; ink is black on white paper either way."""
    published: ClassVar[Published] = {"train": (19280, 964), "test": (13180, 659)}
    implementation: ClassVar[str] = "trainables.datasets.omniglot:Omniglot"


class INaturalist(Benchmark):
    """iNaturalist 2018 (Van Horn et al., CVPR 2018) with the class-disjoint lists of Smooth-AP (ECCV 2020)."""

    name: Literal["inaturalist"] = "inaturalist"
    path: str = hidden("inaturalist2018")
    """Folder with train_val2018/ and Inat_dataset_splits/Inaturalist_train_set1.txt, Inaturalist_test_set1.txt."""
    published: ClassVar[Published] = {"train": None, "test": None}
    implementation: ClassVar[str] = "trainables.datasets.inaturalist:INaturalist"


DATASETS = registered(
    *(Glyphs, ImageFolder, Cub200, Cars196, Sop, InShop, Omniglot, INaturalist),
    base=DatasetConfig,
    group="dml_study.datasets",
)
