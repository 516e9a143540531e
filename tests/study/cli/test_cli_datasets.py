"""`datasets`: the list, the verification of copies, and the sheet of samples."""

import zipfile
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
    assert ["train", "6", "2", "3", "0", "0"] in rows
    assert ["test", "6", "2", "3", "0", "0"] in rows
    assert "every image can be read" in done.out


def test_verification_finds_every_unreadable_image(dml_study: Call, write_images: Call, tmp_path: Path) -> None:
    write_images(train=["a", "b"], test=["c", "d"])
    for name in ("train/a/1.png", "test/d/2.png"):
        (tmp_path / "birds" / name).write_bytes(b"no image")
    done = dml_study("datasets", "verify", "birds")
    assert done.code == 1
    assert "'train/a/1.png'" in done.err
    assert "'test/d/2.png'" in done.err
    assert "0 missing, 2 unreadable, 0 other faults" in done.err


def test_verification_reports_every_fault_of_an_official_copy(dml_study: Call, tmp_path: Path) -> None:
    root = write_cub200(tmp_path / "birds", images=3)
    absent = ["images/001.Bird_1/Bird_1_0000.jpg", "images/102.Bird_102/Bird_102_0002.jpg"]
    for name in absent:
        (root / name).unlink()
    cut = root / "images/002.Bird_2/Bird_2_0001.jpg"
    cut.write_bytes(cut.read_bytes()[:200])
    done = dml_study("datasets", "verify", "cub200", "-s", f"path={root}")
    assert done.code == 1
    rows = [line.split() for line in done.out.splitlines()]
    assert rows[1] == ["train", "8", "of", "5864", "3", "of", "100", "2", "to", "3", "1", "1"]
    assert rows[2] == ["test", "8", "of", "5924", "3", "of", "100", "2", "to", "3", "1", "0"]
    assert [line for line in done.err.splitlines() if line.startswith("missing: ")] == [f"missing: {n}" for n in absent]
    assert "images.txt, line 5: 'images/002.Bird_2/Bird_2_0001.jpg' (" in done.err
    assert "the split 'train' has 9 images of 3 classes by " in done.err
    assert "the split 'test' has 9 images of 3 classes by " in done.err
    assert "2 missing, 1 unreadable, 2 other faults; a run would refuse this copy" in done.err
    assert "revision" not in done.out
    refused = dml_study("datasets", "show", "cub200", "-s", f"path={root}")
    assert (refused.code, "published are 5864 of 100" in refused.err) == (2, True)


def test_many_missing_images_are_counted(dml_study: Call, tmp_path: Path) -> None:
    root = write_cub200(tmp_path / "birds", classes=5, images=5)
    for path in sorted(root.glob("images/00*/*.jpg")):
        path.unlink()
    done = dml_study("datasets", "verify", "cub200", "-s", f"path={root}", "-s", "counts=any")
    assert done.code == 1
    assert done.err.count("missing: images/") == 20
    assert "missing: 5 more" in done.err
    assert done.out.splitlines()[1].split()[:4] == ["train", "0", "of", "5864"]
    assert "25 missing, 0 unreadable, 0 other faults" in done.err


def test_a_list_that_is_none_is_one_error(dml_study: Call, tmp_path: Path) -> None:
    root = write_cub200(tmp_path / "birds")
    (root / "classes.txt").write_bytes(b"\xff\xfe\x00")
    next(root.rglob("*.jpg")).unlink()
    done = dml_study("datasets", "verify", "cub200", "-s", f"path={root}")
    assert (done.code, done.out) == (2, "")
    assert "classes.txt cannot be read as UTF-8 text" in done.err


def test_verification_of_a_csv_file_with_faults(dml_study: Call, write_images: Call, tmp_path: Path) -> None:
    write_images(train=["a", "b"], test=["c", "d"])
    rows = [f"{path.relative_to(tmp_path)},{path.parts[-2]},{path.parts[-3]}" for path in tmp_path.rglob("*.png")]
    (tmp_path / "birds.csv").write_text("\n".join(["path,label,split", *sorted(rows, reverse=True)]))
    (tmp_path / "birds/train/a/0.png").unlink()
    (tmp_path / "birds/test/c/1.png").write_bytes(b"no image")
    done = dml_study("datasets", "verify", "birds.csv")
    assert done.code == 1
    counts = [line.split() for line in done.out.splitlines()[1:3]]
    assert counts == [["train", "5", "2", "2", "to", "3", "1", "0"], ["test", "6", "2", "3", "0", "1"]]
    assert "missing: birds/train/a/0.png" in done.err
    assert "'birds/test/c/1.png'" in done.err


def test_verification_of_a_folder_with_faults(dml_study: Call, write_images: Call, tmp_path: Path) -> None:
    write_images(train=["a", "b"], test=["c", "a"])
    (tmp_path / "birds/train/empty").mkdir()
    (tmp_path / "birds/test/c/1.png").write_bytes(b"no image")
    done = dml_study("datasets", "verify", "birds")
    assert done.code == 1
    assert "no image in 'train/empty'" in done.err
    assert "1 classes are in both splits: 'a'" in done.err
    assert "'test/c/1.png'" in done.err
    assert "0 missing, 1 unreadable, 2 other faults" in done.err


def test_verification_of_a_zip_with_a_damaged_member(dml_study: Call, write_images: Call, tmp_path: Path) -> None:
    write_images(train=["a", "b"], test=["c", "d"])
    with zipfile.ZipFile(tmp_path / "birds.zip", "w") as archive:
        for path in sorted((tmp_path / "birds").rglob("*.png")):
            archive.write(path, path.relative_to(tmp_path / "birds"))
    content = bytearray((tmp_path / "birds.zip").read_bytes())
    content[content.index(b"test/d/2.png") + 40] ^= 255
    (tmp_path / "birds.zip").write_bytes(content)
    done = dml_study("datasets", "verify", "birds.zip")
    assert done.code == 1
    assert done.out.splitlines()[2].split() == ["test", "6", "2", "3", "0", "1"]
    assert "unreadable: 'test/d/2.png' (BadZipFile" in done.err
    assert "'test/d/2.png' cannot be read" in done.err


def test_verification_of_an_official_copy(dml_study: Call, tmp_path: Path) -> None:
    root = write_inshop(tmp_path / "shop")
    arguments = ["datasets", "verify", "inshop", "--set", f"path={root}"]
    done = dml_study(*arguments)
    assert done.code == 1
    assert "published are 25882 of 3997" in done.err
    done = dml_study(*arguments, "--set", "counts=any")
    assert [line.split()[0] for line in done.out.splitlines()[1:4]] == ["train", "query", "gallery"]
    next(root.rglob("id_00000005/*.jpg")).unlink()
    done = dml_study(*arguments, "--set", "counts=any")
    assert done.code == 1
    assert "1 missing, 0 unreadable, 0 other faults" in done.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["cub20"],
            "unknown dataset 'cub20' and no such path; did you mean 'cub200'? (known: cars196, cars196_half, co",
        ),
        (["coil99"], "image_folder.path: 'coil99_64px_angle.zip' does not exist"),
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
