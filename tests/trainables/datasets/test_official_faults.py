"""What is wrong with a copy of a public dataset is said with file, line and remedy, before anything starts."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from trainables.datasets.catalog import load_images, resolve
from trainables.datasets.config import DATASETS, Cub200, Omniglot
from trainables.errors import DataError
from trainables.testing import benchmark_trees as trees

Edit = Callable[[Path], object]


def refusal(name: str, root: Path, cache: Path, *, counts: str = "any") -> str:
    config = DATASETS[name].model_validate({"path": str(root), "counts": counts})
    with pytest.raises(DataError) as caught:
        resolve(config, search=(), cache=cache)  # type: ignore[arg-type]
    return str(caught.value)


def replaced(file: str, old: str, new: str) -> Edit:
    """Replaces what stands in a list exactly once."""

    def edit(root: Path) -> None:
        text = (root / file).read_text()
        assert text.count(old) == 1
        (root / file).write_text(text.replace(old, new))

    return edit


def removed(file: str) -> Edit:
    return lambda root: (root / file).unlink()


def overwritten(file: str, content: bytes) -> Edit:
    return lambda root: (root / file).write_bytes(content)


BIRD = "train_val2018/Aves/0/00000001.jpg"
EVAL, CLOTHES = "Eval/list_eval_partition.txt", "img/WOMEN/Dresses/id_00000001/00_1_front.jpg"
FAULTS: dict[str, tuple[str, Edit, str]] = {
    "missing list": ("cub200", removed("classes.txt"), "no file classes.txt; name the folder of the unpacked archive"),
    "missing image": (
        "cub200",
        removed("images/002.Bird_2/Bird_2_0001.jpg"),
        "images.txt, line 4: 'images/002.Bird_2/Bird_2_0001.jpg' does not exist below .*; 1 of 12 images are missing",
    ),
    "image twice": (
        "cub200",
        replaced("images.txt", "2 001.Bird_1/Bird_1_0001.jpg", "2 001.Bird_1\\Bird_1_0000.jpg"),
        "images.txt, line 2: image 'images/001.Bird_1/Bird_1_0000.jpg' is named already, in .*images.txt, line 1",
    ),
    "id twice": (
        "cub200",
        replaced("images.txt", "2 001.Bird_1/", "1 001.Bird_1/"),
        "images.txt, line 2: image_id 1 is there already, in .*images.txt, line 1",
    ),
    "id is no number": (
        "cub200",
        replaced("classes.txt", "3 003", "3rd 003"),
        "line 3: class_id is '3rd', expected",
    ),
    "id is zero": ("cub200", replaced("image_class_labels.txt", "\n12 ", "\n0 "), "line 12: image_id is '0', expected"),
    "row is cut": (
        "cub200",
        replaced("images.txt", "12 103.Bird_103/Bird_103_0001.jpg", "12"),
        "images.txt, line 12: expected 'image_id path', found '12'",
    ),
    "class without a name": (
        "cub200",
        replaced("classes.txt", "102 102.Bird_102\n", ""),
        "image_class_labels.txt, line 9: class_id 102 is not in .*classes.txt",
    ),
    "image without a class": (
        "cub200",
        replaced("image_class_labels.txt", "\n12 103", ""),
        "images.txt, line 12: image_id 12 has no row in .*image_class_labels.txt",
    ),
    "class of no image": (
        "cub200",
        replaced("image_class_labels.txt", "\n12 103", "\n12 103\n13 103"),
        "image_class_labels.txt, line 13: image_id 13 is not in images.txt",
    ),
    "drive": (
        "cub200",
        replaced("images.txt", " 001.Bird_1/Bird_1_0000.jpg", " C:\\CUB\\001.Bird_1\\Bird_1_0000.jpg"),
        r"images.txt, line 1: path 'C:.*' is not within the dataset's folder",
    ),
    "outside": ("cub200", replaced("images.txt", " 001.Bird_1/Bird_1_0000", " ../x"), "line 1: path '../x.jpg' is not"),
    "not text": ("cub200", overwritten("classes.txt", b"1 \xff\n"), "classes.txt cannot be read as UTF-8 text"),
    "no test class": (
        "cub200",
        lambda root: [(root / name).write_text("") for name in ("images.txt", "image_class_labels.txt")],
        "the split 'train' has 0 images of 0 classes .*every split needs images",
    ),
    "no annotations": ("cars196", removed("cars_annos.mat"), "no file cars_annos.mat or devkit/cars_train_annos.mat"),
    "damaged annotations": (
        "cars196",
        lambda root: overwritten("cars_annos.mat", (root / "cars_annos.mat").read_bytes()[:500])(root),
        "cars_annos.mat: no variable 'class_names'; this is another file, or it is damaged",
    ),
    "no MATLAB file": ("cars196", overwritten("cars_annos.mat", b"<html>" * 99), "not a readable MATLAB file"),
    "missing car": (
        "cars196",
        removed("car_ims/000003.jpg"),
        "cars_annos.mat, annotation 3: 'car_ims/000003.jpg' does not exist",
    ),
    "Kaggle's list is cut": (
        "cars196_kaggle",
        replaced("anno_train.csv", "00002.jpg,1,2,18,14,2\n", "00002.jpg,1,2,18\n"),
        "anno_train.csv, line 2: expected 'file, x1, y1, x2, y2, class', found '00002.jpg,1,2,18'",
    ),
    "Kaggle's class without a name": (
        "cars196_kaggle",
        replaced("anno_test.csv", ",1\n", ",1960\n"),
        "anno_test.csv, line 1: class 1960 is not among the 101 names of .*names.csv",
    ),
    "Kaggle's other list": ("cars196_kaggle", removed("anno_test.csv"), "no file anno_test.csv; name the folder"),
    "Kaggle's names twice": (
        "cars196_kaggle",
        replaced("names.csv", "Maker Model 3\n", "Maker Model 2\n"),
        "names.csv: class_names has 'Maker Model 2' more than once",
    ),
    "one side of omniglot": (
        "omniglot",
        lambda root: shutil.rmtree(root / "images_evaluation"),
        "no folder images_evaluation; name the folder in which both archives were unpacked",
    ),
    "alphabet on both sides": (
        "omniglot",
        lambda root: shutil.copytree(root / "images_background/Greek", root / "images_evaluation/Greek"),
        "class Greek/character01 of the split 'test' is a training class too",
    ),
    "species on both sides": (
        "inaturalist",
        replaced("Inat_dataset_splits/Inaturalist_test_set1.txt", "train_val2018/Plantae/1/00010001.jpg", BIRD),
        "Inaturalist_test_set1.txt, line 2: image 'train_val2018/Aves/0/00000001.jpg' is named already",
    ),
    "species without a number": (
        "inaturalist",
        replaced("Inat_dataset_splits/Inaturalist_test_set1.txt", "Plantae/1/00010001", "Plantae/rose/00010001"),
        "Inaturalist_test_set1.txt, line 2: species is 'rose', expected an integer from 0 on",
    ),
    "another tree of species": (
        "inaturalist",
        replaced("Inat_dataset_splits/Inaturalist_test_set1.txt", "train_val2018/Plantae/1/00010001", "1/00010001"),
        "line 2: path '1/00010001.jpg' is not train_val2018/<kingdom>/<species>/<image>",
    ),
    "no photographs of species": (
        "inaturalist",
        lambda root: shutil.rmtree(root / "train_val2018/Aves/2"),
        "line 3: 'train_val2018/Aves/2/.*' does not exist below .*; 2 of 12 images are missing",
    ),
    "header is lost": (
        "sop",
        replaced("Ebay_test.txt", "image_id class_id super_class_id path\n", ""),
        "Ebay_test.txt, line 1: expected the header 'image_id class_id super_class_id path', found '1 11319 2 ",
    ),
    "no test list": ("sop", removed("Ebay_test.txt"), "no file Ebay_test.txt; name the folder"),
    "product in both": (
        "sop",
        replaced("Ebay_test.txt", "\n1 11319 ", "\n1 2 "),
        "Ebay_test.txt, line 2: class 2 of the split 'test' is a training class too, in .*Ebay_train.txt, line 5",
    ),
    "unknown status": (
        "inshop",
        replaced(EVAL, f"{CLOTHES}   id_00000001   train", f"{CLOTHES}   id_00000001   val"),
        "list_eval_partition.txt, line 3: unknown evaluation_status 'val'; known are train, query, gallery",
    ),
    "announced number": (
        "inshop",
        replaced(EVAL, "18\n", "52712\n"),
        "list_eval_partition.txt, line 1: 52712 images are announced, 18 rows follow",
    ),
    "other folder": (
        "inshop",
        replaced(EVAL, CLOTHES, CLOTHES[4:]),
        "image_name '.*' does not begin with 'img/'",
    ),
    "empty list": (
        "inshop",
        overwritten(EVAL, b""),
        "list_eval_partition.txt, line 2: expected the header",
    ),
    "no queries": (
        "inshop",
        lambda root: (root / EVAL).write_text((root / EVAL).read_text().replace(" query", " gallery")),
        "the split 'query' has 0 images of 0 classes",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named(fault: str, tmp_path: Path, cache: Path) -> None:
    name, edit, message = FAULTS[fault]
    name, _, variant = name.partition("_")
    root = trees.write_cars196_kaggle(tmp_path / name) if variant else trees.TREES[name](tmp_path / name)
    edit(root)
    assert re.search(message, refusal(name, root, cache)), refusal(name, root, cache)


def test_test_annotations_without_labels_are_not_enough(tmp_path: Path, cache: Path) -> None:
    root = trees.write_cars196_devkit(tmp_path / "cars")
    (root / "cars_test_annos_withlabels.mat").rename(root / "devkit/cars_test_annos.mat")
    assert "no file devkit/cars_test_annos_withlabels.mat or cars_test_annos_withlabels.mat" in refusal(
        "cars196", root, cache
    )


@pytest.mark.parametrize("name", sorted(set(trees.TREES) - {"inaturalist"}))  # of which no count is published
def test_wrong_counts_are_refused_where_they_are_checked(name: str, tmp_path: Path, cache: Path) -> None:
    message = refusal(name, trees.TREES[name](tmp_path / name), cache, counts="checked")
    published = " of ".join(str(count) for count in DATASETS[name].published["train"])  # type: ignore[attr-defined]
    assert "the split 'train' has 6 images of 3 classes by " in message
    assert f"published are {published}" in message
    assert "counts: any" in message


def test_a_class_without_images_is_named(tmp_path: Path, cache: Path) -> None:
    root = trees.write_cub200(tmp_path / "cub")
    replaced("classes.txt", "2 002.Bird_2\n", "2 002.Bird_2\n17 017.Cardinal\n")(root)
    assert "class 17 (017.Cardinal) has no image" in refusal("cub200", root, cache, counts="checked")
    images = load_images(Cub200(path=str(root), counts="any", image_size=8), cache=cache)
    assert "017.Cardinal" not in images.class_names


def test_a_truncated_photograph_is_named_with_its_line(tmp_path: Path, cache: Path) -> None:
    root = trees.write_cub200(tmp_path / "cub")
    photo = root / "images/002.Bird_2/Bird_2_0001.jpg"
    photo.write_bytes(photo.read_bytes()[:-200])
    with pytest.raises(DataError, match=r"1 of 12 images cannot be read: .*images.txt, line 4: 'images.*truncated"):
        load_images(Cub200(path=str(root), counts="any"), cache=cache)


def test_a_truncated_drawing_is_named(tmp_path: Path, cache: Path) -> None:
    root = trees.write_omniglot(tmp_path / "omniglot")
    drawing = root / "images_evaluation/Tibetan/character02/0102_02.png"
    drawing.write_bytes(drawing.read_bytes()[:-200])
    with pytest.raises(DataError, match=r"1 of 12 images cannot be read: .*character02: 'images_evaluation/.*0102_02"):
        load_images(Omniglot(path=str(root), counts="any"), cache=cache)


def test_a_character_without_drawings_is_named(tmp_path: Path, cache: Path) -> None:
    root = trees.write_omniglot(tmp_path / "omniglot")
    (root / "images_background/Greek/character04").mkdir()
    assert "class Greek/character04 (Greek/character04) has no image" in refusal(
        "omniglot", root, cache, counts="checked"
    )


def test_a_folder_that_is_nowhere(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "CUB_200_2012").mkdir()
    with pytest.raises(
        DataError, match=r"cub200.path: 'CUB_200_2011' does not exist .*did you mean 'CUB_200_2012'.*prepare cub200"
    ):
        resolve(Cub200(), search=[tmp_path], cache=cache)


def test_an_archive_has_to_be_unpacked(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "CUB_200_2011.tgz").write_bytes(b"")
    assert "is not a folder; unpack the archive" in refusal("cub200", tmp_path / "CUB_200_2011.tgz", cache)
