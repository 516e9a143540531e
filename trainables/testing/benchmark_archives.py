"""Small copies of the official archives: the trees of `benchmark_trees`, packed as their owners pack them."""

import hashlib
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from trainables.datasets.archives import Distribution, Origin
from trainables.testing import benchmark_trees as trees

__all__ = ["PACKED", "small_origin", "write_archives"]

PACKED: dict[str, tuple[str, Callable[..., Path], dict[str, tuple[str, ...]]]] = {
    "cub200": ("cub200", trees.write_cub200, {"CUB_200_2011.tgz": ("CUB_200_2011/",)}),
    "cars196": ("cars196", trees.write_cars196, {"car_ims.tgz": ("car_ims",), "cars_annos.mat": ("cars_annos.mat",)}),
    "cars196 devkit": (
        "cars196",
        trees.write_cars196_devkit,
        {
            "cars_train.tgz": ("cars_train",),
            "cars_test.tgz": ("cars_test",),
            "car_devkit.tgz": ("devkit",),
            "cars_test_annos_withlabels.mat": ("cars_test_annos_withlabels.mat",),
        },
    ),
    "cars196 kaggle": (
        "cars196",
        trees.write_cars196_kaggle,
        {"stanford-car-dataset-by-classes-folder.zip": ("names.csv", "anno_train.csv", "anno_test.csv", "car_data")},
    ),
    "sop": ("sop", trees.write_sop, {"Stanford_Online_Products.zip": ("Stanford_Online_Products/",)}),
    "inshop": (
        "inshop",
        trees.write_inshop,
        {"img.zip": ("Img/img",), "list_eval_partition.txt": ("Eval/list_eval_partition.txt",)},
    ),
    "omniglot": (
        "omniglot",
        trees.write_omniglot,
        {"images_background.zip": ("images_background",), "images_evaluation.zip": ("images_evaluation",)},
    ),
    "inaturalist": (
        "inaturalist",
        trees.write_inaturalist,
        {"train_val2018.tar.gz": ("train_val2018",), "Inat_dataset_splits.zip": ("Inat_dataset_splits",)},
    ),
}
"""By distribution: the dataset's name, the writer of its tree, and what of the tree each archive holds.

A name that ends in "/" is the outer folder of everything.
"""


def write_archives(which: str, folder: Path, *, classes: int = 3, images: int = 2) -> list[Path]:
    """Writes the archives of one distribution into a folder, with what a Mac leaves in them; returns them."""
    _, write, packed = PACKED[which]
    tree = write(folder / ".tree", classes=classes, images=images)
    (tree / "._junk").write_bytes(b"junk")
    for name, members in packed.items():
        _pack(folder / name, tree, members)
    shutil.rmtree(tree)
    return [folder / name for name in packed]


def small_origin(origin: Origin, files: Sequence[Path], *, url: Callable[[str], str]) -> Origin:
    """The same origin with the checksums of small copies, and other addresses where it has any."""
    digest = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    distributions = (
        Distribution(
            tuple(
                replace(
                    archive,
                    checksum=f"sha256:{digest[archive.file]}" if archive.checksum and archive.file in digest else "",
                    url=archive.url and url(archive.file),
                )
                for archive in distribution.archives
            )
        )
        for distribution in origin.distributions
    )
    return replace(origin, distributions=tuple(distributions))


def _pack(path: Path, tree: Path, members: Sequence[str]) -> None:
    if not path.name.endswith((".zip", "gz")):
        shutil.copyfile(tree / members[0], path)
    elif path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for file, name in _files(tree, members):
                archive.write(file, name)
            archive.writestr("__MACOSX/._junk", b"junk")
    else:
        with tarfile.open(path, "w:gz") as tar:
            for file, name in _files(tree, members):
                tar.add(file, f"./{name}")


def _files(tree: Path, members: Sequence[str]) -> list[tuple[Path, str]]:
    if members[0].endswith("/"):
        found = [(path, f"{members[0]}{path.relative_to(tree).as_posix()}") for path in tree.rglob("*")]
        return [(path, name) for path, name in found if path.is_file()]
    roots = [tree / member for member in members]
    files = [(path, root) for root in roots for path in [root, *root.rglob("*")] if path.is_file()]
    return [(path, path.relative_to(root.parent).as_posix()) for path, root in files]
