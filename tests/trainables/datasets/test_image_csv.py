"""CSV files of images: columns, splits and galleries, and what is refused with which words."""

from collections.abc import Callable
from pathlib import Path

import pytest
from image_sources import loaded, refusal

from trainables.datasets.catalog import load_images
from trainables.datasets.config import ImageFolder

MakeTree = Callable[..., Path]
Pack = Callable[..., Path]


def _refused_csv(text: str, folder: Path, cache: Path) -> str:
    (folder / "rows.csv").write_text(text)
    return refusal(folder / "rows.csv", cache)


def test_a_csv_names_images_relative_to_itself(make_tree: MakeTree, cache: Path) -> None:
    folder = make_tree({"pictures/x": 2, "pictures/y": 2})
    rows = "split,label,path,extra\ntest,bird,pictures/y/1.png,1\ntrain,fish,./pictures/x/0.png,2\n"
    (folder / "rows.csv").write_text("\ufeff" + rows + "train,fish,pictures/x/1.png,3\n")
    images = loaded(folder / "rows.csv", cache)
    assert images.paths == ("pictures/x/0.png", "pictures/x/1.png", "pictures/y/1.png")
    assert images.class_names == ("bird", "fish")
    assert images.labels.tolist() == [1, 1, 0]
    assert images.split.tolist() == ["train", "train", "test"]


def test_a_csv_may_have_other_columns_and_a_gallery(make_tree: MakeTree, cache: Path) -> None:
    """As In-shop has queries and iNaturalist has names; backslashes are those of Windows."""
    folder = make_tree({"pictures/x": 2, "pictures/y": 3})
    rows = ["file_name,category_id,set", "pictures\\x\\0.png,7,train", "pictures/x/1.png,7,train"]
    rows += [f"pictures/y/{number}.png,8,{split}" for number, split in enumerate(("query", "gallery", "gallery"))]
    (folder / "rows.csv").write_text("\n".join(rows))
    names = {"path_column": "file_name", "label_column": "category_id", "split_column": "set"}
    config = ImageFolder.model_validate({"path": str(folder / "rows.csv"), "image_size": 8, **names})
    images = load_images(config, cache=cache)
    assert images.paths[0] == "pictures/x/0.png"
    assert images.class_names == ("7", "8")
    assert images.split.tolist() == ["train"] * 2 + ["query", "gallery", "gallery"]
    plain = {name: ImageFolder.model_fields[name].default for name in names}
    assert plain == {"path_column": "path", "label_column": "label", "split_column": "split"}


def test_continuous_labels_of_a_csv_with_another_path_column(make_tree: MakeTree, cache: Path) -> None:
    folder = make_tree({"x": 1, "y": 1})
    (folder / "rows.csv").write_text("image,label,split,angle\nx\\0.png,a,train,30\ny/0.png,b,test,60\n")
    config = ImageFolder(
        path=str(folder / "rows.csv"), image_size=8, path_column="image", target_columns=("angle",), target_period=360
    )
    targets = load_images(config, cache=cache).targets
    assert targets is not None and targets.values[:, 0].tolist() == [30, 60]


def test_a_csv_may_name_files_that_hold_a_backslash(make_tree: MakeTree, cache: Path) -> None:
    folder = make_tree({"x": 1, "y": 1})
    try:
        (folder / "x/0.png").rename(folder / "odd\\name.png")
    except OSError:
        pytest.skip("a system on which backslashes are separators")
    (folder / "rows.csv").write_text("path,label,split,angle\nodd\\name.png,a,train,1\ny\\0.png,b,test,2\n")
    config = ImageFolder(path=str(folder / "rows.csv"), image_size=8, target_columns=("angle",))
    images = load_images(config, cache=cache)
    assert images.paths == ("odd\\name.png", "y/0.png")
    assert images.targets is not None and images.targets.values[:, 0].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "column 'path', 'label', 'split' is missing, found none"),
        ("path,class,split\nx,a,train\n", "column 'label' is missing, found 'path', 'class', 'split'"),
        ("path,label,split\n", "no rows"),
        ("path,label,split\nx.png,a,train\ny.png,,test\n", "line 3: column 'label' is empty"),
        ("path,label,split\nx.png,a\n", "line 2: column 'split' is empty"),
        ("path,label,split\nx.png,a,dev\n", "line 2: unknown split 'dev'"),
        ("path,label,split\n/tmp/x.png,a,train\n", "line 2: path '/tmp/x.png' is absolute"),
        ("path,label,split\nx.png,a,train\nx.png,b,test\n", "names an image more than once: 'x.png'"),
        ("path,label,split\nx.png,a,train\nz.png,b,test\n", "1 of 2 files do not exist, 'z.png'"),
        ("path,label,split\nx.png,a,train\n", "no image of the split 'test'"),
        ("path,label,split\nx.png,a,train\ny.png,a,test\n", "1 classes are in both splits: 'a'"),
        ("path,label,split\nx.png,a,train\ny.png, a,test\n", "duplicate class names"),
        (
            "path,lable,split\nx.png,a,train\n",
            "'label' is missing, found 'path', 'lable', 'split'; did you mean 'lable'?",
        ),
        ("path,label,split,label\nx.png,a,train,b\n", "column 'label' is there, or named, more than once"),
        ("path,label,split\nC:\\x.png,a,train\n", "line 2: path 'C:/x.png' is absolute"),
        ("path,label,split\nx.png,a,train\ny.png,b,query\n", "no image of the split 'gallery'"),
        ("path,label,split\nx.png,a,train\ny.png,a,query\nz.png,b,gallery\n", "1 classes are in both splits: 'a'"),
        (
            "path,label,split\nx.png,a,train\ny.png,b,query\nz.png,b,gallery\nu.png,b,test\n",
            "images of the split 'test' beside queries and a gallery",
        ),
    ],
)
def test_csv_files_that_are_refused(
    text: str, words: str, tmp_path: Path, cache: Path, save_image: Callable[..., None]
) -> None:
    for name in ("x.png", "y.png") + (("z.png", "u.png") if "gallery" in text else ()):
        save_image(tmp_path / name, seed=0)
    message = _refused_csv(text, tmp_path, cache)
    assert words in message
    assert str(tmp_path / "rows.csv") in message


def test_a_csv_that_is_not_text_is_refused(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "rows.csv").write_bytes(b"path,label,split\n\xff\xfe\n")
    assert "is not UTF-8 text" in refusal(tmp_path / "rows.csv", cache)


def test_a_query_without_a_gallery_image_of_its_class_is_refused(make_tree: MakeTree, cache: Path) -> None:
    folder = make_tree({"x": 6})
    rows = [(0, "a", "train"), (1, "b", "query"), (2, "b", "gallery"), (3, "c", "query"), (4, "d", "gallery")]
    text = "path,label,split\n" + "".join(f"x/{number}.png,{label},{split}\n" for number, label, split in rows)
    message = _refused_csv(text, folder, cache)
    assert "no image in the gallery for queries of class 'c'; add some" in message
    assert "'b'" not in message and "'d'" not in message
