"""`datasets`: the list, the verification of copies, and the sheet of samples."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from trainables.testing.benchmark_trees import write_cub200, write_inshop

Call = Callable[..., Any]
SPEC = """
study: s
methods: {a: {loss: norm_softmax}}
datasets:
  feathers: {name: image_folder, path: birds, image_size: 8}
  shapes: {name: glyphs, classes: 4, images_per_class: 3}
"""


def test_the_list_names_what_each_needs(dml_study: Call, tmp_path: Path) -> None:
    write_cub200(tmp_path / "data/CUB_200_2011")
    done = dml_study("datasets", "list")
    lines = {line.split()[0]: line for line in done.out.splitlines()}
    assert "nothing" in lines["glyphs"]
    assert "images.txt" in lines["cub200"]
    assert str(tmp_path / "data/CUB_200_2011") in lines["cub200"]
    assert lines["inshop"].rstrip().endswith("no")


def test_the_list_has_the_datasets_of_a_spec(
    dml_study: Call, write_spec: Call, write_images: Call, tmp_path: Path
) -> None:
    write_images(train=["a", "b"], test=["c", "d"])
    done = dml_study("datasets", "list", "--spec", write_spec(SPEC))
    lines = {line.split()[0]: line for line in done.out.splitlines()}
    assert str(tmp_path / "birds") in lines["feathers"]
    assert "glyphs, in " in lines["shapes"]


@pytest.mark.parametrize(
    "arguments", [["feathers", "--spec", "tiny.yaml"], ["birds"], ["shapes", "--spec", "tiny.yaml"]]
)
def test_verification_counts_images_and_classes(
    arguments: list[str], dml_study: Call, write_spec: Call, write_images: Call
) -> None:
    write_spec(SPEC)
    write_images(train=["a", "b"], test=["c", "d"])
    done = dml_study("datasets", "verify", *arguments)
    assert done.code == 0
    rows = [line.split() for line in done.out.splitlines()]
    assert ["train", "6", "2", "3"] in rows
    assert ["test", "6", "2", "3"] in rows
    assert "every image can be read" in done.out


def test_verification_finds_every_unreadable_image(dml_study: Call, write_images: Call, tmp_path: Path) -> None:
    write_images(train=["a", "b"], test=["c", "d"])
    for name in ("train/a/1.png", "test/d/2.png"):
        (tmp_path / "birds" / name).write_bytes(b"no image")
    done = dml_study("datasets", "verify", "birds")
    assert done.code == 1
    assert "'train/a/1.png'" in done.err
    assert "'test/d/2.png'" in done.err
    assert "2 images cannot be read" in done.err


def test_verification_of_an_official_copy(dml_study: Call, tmp_path: Path) -> None:
    root = write_inshop(tmp_path / "shop")
    arguments = ["datasets", "verify", "inshop", "--set", f"path={root}"]
    done = dml_study(*arguments)
    assert done.code == 2
    assert "published are 25882 of 3997" in done.err
    done = dml_study(*arguments, "--set", "counts=any")
    assert [line.split()[0] for line in done.out.splitlines()[1:4]] == ["train", "query", "gallery"]
    next(root.rglob("id_00000005/*.jpg")).unlink()
    done = dml_study(*arguments, "--set", "counts=any")
    assert done.code == 2
    assert "1 of 18 images are missing" in done.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["cub20"], "unknown dataset 'cub20' and no such path; did you mean 'cub200'?"),
        (["glyphs", "--set", "classes=1"], "dataset 'glyphs': classes: Input should be greater than or equal to 4"),
        (["glyphs", "--set", "classes"], "--set classes: should be key=value"),
        (["cub200"], "cub200.path: 'CUB_200_2011' does not exist"),
    ],
)
def test_bad_input(dml_study: Call, arguments: list[str], message: str) -> None:
    done = dml_study("datasets", "verify", *arguments)
    assert done.code == 2
    assert message in done.err


def test_a_sheet_has_a_row_per_class_of_each_split(dml_study: Call, tmp_path: Path) -> None:
    def sheet(*arguments: str) -> tuple[int, int]:
        done = dml_study("datasets", "show", "glyphs", "-s", "classes=8", "-o", "out/sheet.png", *arguments)
        assert done.code == 0, done.err
        return Image.open(tmp_path / "out/sheet.png").size

    narrow, wide = sheet("--images", "2"), sheet("--images", "6")
    assert wide[0] > narrow[0]
    assert sheet("--classes", "1")[1] < wide[1]


def test_a_sheet_is_a_png_of_readable_images(dml_study: Call, write_images: Call, tmp_path: Path) -> None:
    write_images(train=["a", "b"], test=["c", "d"])
    assert "choose such a name" in dml_study("datasets", "show", "birds", "-o", "x.pdf").err
    (tmp_path / "birds/train/a/0.png").write_bytes(b"")
    done = dml_study("datasets", "show", "birds")
    assert done.code == 2
    assert "'train/a/0.png'" in done.err
    assert "dml-study datasets verify" in done.err
