"""Small datasets of noise in the official formats of the public ones, for tests and for trying out loaders."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

__all__ = ["TREES", "write_cars196", "write_cars196_devkit", "write_cars196_kaggle", "write_cub200", "write_image"]
__all__ += ["write_inaturalist", "write_inshop", "write_omniglot", "write_sop"]


def write_image(path: Path, *, seed: int) -> None:
    """A JPEG file of random noise, 20 pixels wide and 16 high."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (16, 20, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, "JPEG")


def write_cub200(root: Path, *, classes: int = 3, images: int = 2) -> Path:
    """CUB-200-2011 with the first training classes and the first test classes; returns `root`."""
    names = {key: f"{key:03d}.Bird_{key}" for key in _two_sides(classes, first_test=101)}
    paths = [(key, f"{name}/Bird_{key}_{number:04d}.jpg") for key, name in names.items() for number in range(images)]
    for seed, (_, path) in enumerate(paths):
        write_image(root / "images" / path, seed=seed)
    write_rows(root / "images.txt", (f"{number} {path}" for number, (_, path) in enumerate(paths, start=1)))
    write_rows(root / "image_class_labels.txt", (f"{number} {key}" for number, (key, _) in enumerate(paths, start=1)))
    write_rows(root / "classes.txt", (f"{key} {name}" for key, name in names.items()))
    write_rows(root / "train_test_split.txt", (f"{number} {number % 2}" for number in range(1, len(paths) + 1)))
    return root


def write_cars196(root: Path, *, classes: int = 3, images: int = 2) -> Path:
    """Cars-196 as cars_annos.mat and car_ims/; returns `root`."""
    rows = _car_rows(classes, images)
    paths = [f"car_ims/{number:06d}.jpg" for number in range(1, len(rows) + 1)]
    for seed, path in enumerate(paths):
        write_image(root / path, seed=seed)
    closed_set = [number % 2 for number in range(len(rows))]
    fields: dict[str, Sequence[object]] = {"relative_im_path": paths, "class": rows, "test": closed_set}
    _write_mat(root / "cars_annos.mat", annotations=_struct(fields), class_names=_cells(_car_names(classes)))
    return root


def write_cars196_devkit(root: Path, *, classes: int = 3, images: int = 2) -> Path:
    """The same cars as devkit/, cars_train/ and cars_test/, whose files have the same names; returns `root`."""
    rows = _car_rows(classes, images)
    for offset, (side, annotations) in enumerate(_DEVKIT.items()):
        keys = rows[offset::2]
        names = [f"{number:05d}.jpg" for number in range(1, len(keys) + 1)]
        for number, name in enumerate(names):
            write_image(root / side / name, seed=2 * number + offset)
        _write_mat(root / annotations, annotations=_struct({"class": keys, "fname": names}))
    _write_mat(root / "devkit/cars_meta.mat", class_names=_cells(_car_names(classes)))
    return root


def write_cars196_kaggle(root: Path, *, classes: int = 3, images: int = 2) -> Path:
    """The same cars as names.csv, anno_train.csv, anno_test.csv and car_data/; returns `root`."""
    rows, names = _car_rows(classes, images), _car_names(classes)
    names[0] = "Maker C/V Model 1"
    for offset, side in enumerate(("train", "test")):
        lines = []
        for number, key in enumerate(rows[offset::2]):
            name = f"{number + 1:05d}.jpg"
            folder = root / "car_data/car_data" / side / names[key - 1].replace("/", "-")
            write_image(folder / name, seed=2 * number + offset)
            lines.append(f"{name},1,2,18,14,{key}")
        write_rows(root / f"anno_{side}.csv", lines)
    write_rows(root / "names.csv", names)
    return root


def write_sop(root: Path, *, classes: int = 3, images: int = 2) -> Path:
    """Stanford Online Products with the first products of both lists; returns `root`."""
    for name, first in (("Ebay_train.txt", 1), ("Ebay_test.txt", 11319)):
        rows = ["image_id class_id super_class_id path"]
        for key in range(first, first + classes):
            for number in range(images):
                path = f"{'bicycle' if key % 2 else 'chair'}_final/{key}_{number}.JPG"
                write_image(root / path, seed=100 * key + number)
                rows.append(f"{len(rows)} {key} {1 + key % 2} {path}")
        write_rows(root / name, rows)
    return root


def write_inshop(root: Path, *, classes: int = 3, images: int = 2) -> Path:
    """In-shop Clothes Retrieval: training items, then items with as many queries as gallery images; returns `root`."""
    rows = []
    for key in range(1, 2 * classes + 1):
        status = ["train"] * images if key <= classes else ["query", "gallery"] * images
        for number, each in enumerate(status):
            path = f"img/WOMEN/Dresses/id_{key:08d}/{number:02d}_1_front.jpg"
            write_image(root / "Img" / path, seed=100 * key + number)
            rows.append(f"{path}   id_{key:08d}   {each}")
    header = "image_name item_id evaluation_status"
    write_rows(root / "Eval/list_eval_partition.txt", [str(len(rows)), header, *rows])
    return root


def write_omniglot(root: Path, *, classes: int = 3, images: int = 2) -> Path:
    """Omniglot with one alphabet on each side, of drawings in one bit; returns `root`."""
    for seed, (side, alphabet) in enumerate((("images_background", "Greek"), ("images_evaluation", "Tibetan"))):
        for key in range(1, classes + 1):
            for number in range(1, images + 1):
                path = root / side / alphabet / f"character{key:02d}" / f"{key + 100 * seed:04d}_{number:02d}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                noise = np.random.default_rng([seed, key, number]).integers(0, 8, (105, 105)) > 0
                Image.fromarray(noise).save(path)
    return root


def write_inaturalist(root: Path, *, classes: int = 3, images: int = 2) -> Path:
    """iNaturalist 2018 with the first species of both lists; returns `root`."""
    for seed, (side, kingdom) in enumerate((("train", "Aves"), ("test", "Plantae"))):
        rows = []
        for key in range(classes):
            for number in range(images):
                species = 2 * key + seed  # they count from 0
                path = f"train_val2018/{kingdom}/{species}/{species:04x}{number:04x}.jpg"
                write_image(root / path, seed=1000 * species + number)
                rows.append(path)
        write_rows(root / f"Inat_dataset_splits/Inaturalist_{side}_set1.txt", rows)
    return root


TREES = {
    "cub200": write_cub200,
    "cars196": write_cars196,
    "sop": write_sop,
    "inshop": write_inshop,
    "omniglot": write_omniglot,
    "inaturalist": write_inaturalist,
}
"""By the name of the dataset: writes a small tree, gets (root, classes=, images=)."""

_DEVKIT = {"cars_train": "devkit/cars_train_annos.mat", "cars_test": "cars_test_annos_withlabels.mat"}


def write_rows(path: Path, rows: Iterable[str]) -> None:
    """A list, one row per line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")


def _two_sides(classes: int, *, first_test: int) -> list[int]:
    return [*range(1, 1 + classes), *range(first_test, first_test + classes)]


def _car_rows(classes: int, images: int) -> list[int]:
    """The class of every image."""
    return [key for key in _two_sides(classes, first_test=99) for _ in range(images)]


def _car_names(classes: int) -> list[str]:
    return [f"Maker Model {number}" for number in range(1, 99 + classes)]


def _struct(fields: Mapping[str, Sequence[object]]) -> np.ndarray:
    """A struct array [1, N] as MATLAB writes it."""
    count = len(next(iter(fields.values())))
    array = np.empty((1, count), dtype=[(name, object) for name in fields])
    for name, values in fields.items():
        array[name][0] = values
    return array


def _cells(values: list[str]) -> np.ndarray:
    array = np.empty((1, len(values)), dtype=object)
    array[0] = values
    return array


def _write_mat(path: Path, **variables: np.ndarray) -> None:
    from scipy.io import savemat

    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, variables)
