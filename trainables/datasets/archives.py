"""Where the public datasets come from: file names, addresses, published checksums, and who says so."""

from dataclasses import dataclass

__all__ = ["ARCHIVES", "Archive", "Distribution", "Origin"]

_GIB = 2**30
_PML = "pytorch-metric-learning 2.9"
_VISION = "torchvision 0.28"


@dataclass(frozen=True)
class Archive:
    """One file of a distribution.

    Attributes:
        file: its name; .zip, .tgz, .tar.gz and .tar are extracted, other files are copied.
        url: an address that gives it without a login; empty where there is none.
        checksum: `"md5:..."` or `"sha256:..."` as published; empty where none is.
        source: who states address and checksum.
        inside: folder of the archive that is wanted; everything where empty.
        into: where that goes, relative to the dataset's folder.
    """

    file: str
    url: str = ""
    checksum: str = ""
    source: str = ""
    inside: str = ""
    into: str = ""


@dataclass(frozen=True)
class Distribution:
    """Archives that together make a dataset's folder."""

    archives: tuple[Archive, ...]

    @property
    def downloadable(self) -> bool:
        """Whether every archive has an address."""
        return all(archive.url for archive in self.archives)


@dataclass(frozen=True)
class Origin:
    """How one dataset is obtained.

    Attributes:
        distributions: alternatives, the first is preferred.
        largest: bytes that its unpacked archives stay below by a wide margin; more than that is an attack or an error.
        by_hand: where a person gets the files that cannot be downloaded, and what to name them.
    """

    distributions: tuple[Distribution, ...]
    largest: int
    by_hand: str = ""

    @property
    def downloadable(self) -> bool:
        """Whether `--download` can fetch it."""
        return any(distribution.downloadable for distribution in self.distributions)


_CARS_KAGGLE = "https://www.kaggle.com/datasets/jutrera/stanford-car-dataset-by-classes-folder"
_INAT = "https://ml-inat-competition-datasets.s3.amazonaws.com/2018"
_OMNIGLOT = "https://raw.githubusercontent.com/brendenlake/omniglot/master/python"

ARCHIVES: dict[str, Origin] = {
    "cub200": Origin(
        (
            Distribution(
                (
                    Archive(
                        "CUB_200_2011.tgz",
                        "https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz",
                        "sha256:0c685df5597a8b24909f6a7c9db6d11e008733779a671760afef78feb49bf081",
                        f"address: {_PML}, datasets/cub.py; checksum: torchvision's prototype of CUB200",
                        inside="CUB_200_2011",
                    ),
                )
            ),
        ),
        largest=8 * _GIB,
    ),
    "cars196": Origin(
        (
            Distribution(
                (
                    Archive("car_ims.tgz", "", "md5:d5c8f0aa497503f355e17dc7886c3f14", "powerful-benchmarker"),
                    Archive("cars_annos.mat", "", "md5:b407c6086d669747186bd1d764ff9dbc", "powerful-benchmarker"),
                )
            ),
            Distribution(
                (
                    Archive("cars_train.tgz", "", "md5:065e5b463ae28d29e77c1b4b166cfe61", "older torchvision releases"),
                    Archive("cars_test.tgz", "", "md5:4ce7ebf6a94d07f1952d94dd34c4d501", "older torchvision releases"),
                    Archive("car_devkit.tgz", "", "md5:c3b158d763b6e2245038c8ad08e45376", "older torchvision releases"),
                    Archive(
                        "cars_test_annos_withlabels.mat",
                        "",
                        "md5:b0a2b23655a3edd16d84508592a98d10",
                        "older torchvision releases",
                    ),
                )
            ),
            Distribution((Archive("stanford-car-dataset-by-classes-folder.zip", source=f"{_PML}, {_CARS_KAGGLE}"),)),
        ),
        largest=16 * _GIB,
        by_hand=(
            f"the original hosts are gone; {_CARS_KAGGLE} (with an account) gives archive.zip: name it "
            "stanford-car-dataset-by-classes-folder.zip; or use copies of car_ims.tgz and cars_annos.mat, or of "
            "cars_train.tgz, cars_test.tgz, car_devkit.tgz and cars_test_annos_withlabels.mat, under these names"
        ),
    ),
    "sop": Origin(
        (
            Distribution(
                (
                    Archive(
                        "Stanford_Online_Products.zip",
                        "https://drive.usercontent.google.com/download?id=1TclrpQOF_ullUP99wk_gjGN8pKvtErG8"
                        "&export=download&authuser=0&confirm=t",
                        "md5:7f73d41a2f44250d4779881525aea32e",
                        f"address: {_PML}, datasets/sop.py; checksum: powerful-benchmarker",
                        inside="Stanford_Online_Products",
                    ),
                )
            ),
        ),
        largest=24 * _GIB,
    ),
    "inshop": Origin(
        (
            Distribution(
                (
                    Archive("img.zip", source="DeepFashion, In-shop Clothes Retrieval Benchmark, Img/", into="Img"),
                    Archive(
                        "list_eval_partition.txt",
                        source="DeepFashion, In-shop Clothes Retrieval Benchmark, Eval/",
                        into="Eval",
                    ),
                )
            ),
        ),
        largest=24 * _GIB,
        by_hand=(
            "its owners want an agreement first; "
            "https://mmlab.ie.cuhk.edu.hk/projects/DeepFashion/InShopRetrieval.html leads to Img/img.zip "
            "and Eval/list_eval_partition.txt; keep these names"
        ),
    ),
    "omniglot": Origin(
        (
            Distribution(
                (
                    Archive(
                        "images_background.zip",
                        f"{_OMNIGLOT}/images_background.zip",
                        "md5:68d2efa1b9178cc56df9314c21c6e718",
                        f"{_VISION}, datasets/omniglot.py",
                    ),
                    Archive(
                        "images_evaluation.zip",
                        f"{_OMNIGLOT}/images_evaluation.zip",
                        "md5:6b91aef0f799c5bb55b94e3f2daec811",
                        f"{_VISION}, datasets/omniglot.py",
                    ),
                )
            ),
        ),
        largest=2 * _GIB,
    ),
    "inaturalist": Origin(
        (
            Distribution(
                (
                    Archive(
                        "train_val2018.tar.gz",
                        f"{_INAT}/train_val2018.tar.gz",
                        "md5:b1c6952ce38f31868cc50ea72d066cc3",
                        f"{_VISION}, datasets/inaturalist.py",
                    ),
                    Archive(
                        "Inat_dataset_splits.zip",
                        "https://drive.usercontent.google.com/download?id=1sXfkBTFDrRU3__-NUs1qBP3sf_0uMB98"
                        "&export=download&authuser=0&confirm=t",
                        "",
                        f"{_PML}, datasets/inaturalist2018.py; lists of Brown et al., Smooth-AP, ECCV 2020",
                    ),
                )
            ),
        ),
        largest=400 * _GIB,
    ),
}
"""By the name of the dataset's part. Checksums that nobody published are not there, rather than made up."""
