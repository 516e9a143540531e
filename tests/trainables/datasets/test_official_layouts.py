"""Public datasets as their archives unpack: which image is of which class in which split, on small trees."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainables.datasets.catalog import load_images, resolve
from trainables.datasets.config import Benchmark, Cars196, Cub200, INaturalist, InShop, Omniglot, Sop
from trainables.datasets.images import ImageSet
from trainables.testing import benchmark_trees as trees

RED, BLUE = (254, 0, 0), (0, 0, 254)


def load(config: Benchmark, cache: Path) -> ImageSet:
    return load_images(config, cache=cache)


def cub(root: Path, cache: Path, **fields: object) -> ImageSet:
    return load(Cub200.model_validate({"path": str(root), "counts": "any", "image_size": 16, **fields}), cache)


def by_class(images: ImageSet) -> dict[str, tuple[set[str], int]]:
    """Splits and number of images by class name."""
    classes = enumerate(images.class_names)
    return {name: (set(images.split[images.labels == key]), int((images.labels == key).sum())) for key, name in classes}


def test_published_counts() -> None:
    """Wah et al. 2011; Krause et al. 2013; Oh Song et al. 2016; Liu et al. 2016; Lake et al. 2015."""
    counts = {cls: cls.published for cls in (Cub200, Cars196, Sop, Omniglot)}
    totals = {cls: np.sum([each or (0, 0) for each in of.values()], axis=0).tolist() for cls, of in counts.items()}
    assert totals == {
        **{Cub200: [11_788, 200], Cars196: [16_185, 196], Sop: [120_053, 22_634], Omniglot: [32_460, 1_623]}
    }
    shop = {split: each or (0, 0) for split, each in InShop.published.items()}
    assert sum(images for images, _ in shop.values()) == 52_712
    assert shop["query"][1] == shop["gallery"][1] == 7_982 - shop["train"][1]
    drawn = [each or (0, 1) for each in Omniglot.published.values()]
    assert [images / classes for images, classes in drawn] == [20, 20]


def test_cub_is_split_by_class_id(tmp_path: Path, cache: Path) -> None:
    images = cub(trees.write_cub200(tmp_path / "cub"), cache)
    assert by_class(images) == {
        **{f"{key:03d}.Bird_{key}": ({"train"}, 2) for key in (1, 2, 3)},
        **{f"{key:03d}.Bird_{key}": ({"test"}, 2) for key in (101, 102, 103)},
    }
    assert images.paths[3] == "images/002.Bird_2/Bird_2_0001.jpg"
    assert images.labels.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]


def test_the_boundary_is_between_classes_100_and_101(tmp_path: Path, cache: Path) -> None:
    root = trees.write_cub200(tmp_path / "cub", classes=100, images=1)
    images = cub(root, cache, image_size=8)
    assert images.split.tolist() == ["train"] * 100 + ["test"] * 100
    assert images.class_names[99:101] == ("100.Bird_100", "101.Bird_101")


def test_other_files_of_the_archive_do_not_matter(tmp_path: Path, cache: Path) -> None:
    root = trees.write_cub200(tmp_path / "cub")
    config = Cub200(path=str(root), counts="any")
    before = resolve(config, search=(), cache=cache).revision
    (root / "train_test_split.txt").unlink()
    (root / "images/001.Bird_1/._Bird_1_0000.jpg").write_bytes(b"\0\5\26\7")
    (root / "images/README").write_text("unpacked on a Mac")
    assert resolve(config, search=(), cache=cache).revision == before
    with (root / "images.txt").open("a") as stream:
        stream.write("\n13 001.Bird_1/._Bird_1_0000.jpg\n")
    with (root / "image_class_labels.txt").open("a") as stream:
        stream.write("13 1\n")
    assert len(cub(root, cache).paths) == 12


@pytest.mark.parametrize("write", [trees.write_cars196, trees.write_cars196_devkit, trees.write_cars196_kaggle])
def test_all_distributions_of_cars_are_split_by_class_id(
    write: Callable[[Path], Path], tmp_path: Path, cache: Path
) -> None:
    config = Cars196(path=str(write(tmp_path / "cars")), counts="any", image_size=16)
    images = load(config, cache)
    first = "Maker C/V Model 1" if write is trees.write_cars196_kaggle else "Maker Model 1"
    assert by_class(images) == {
        first: ({"train"}, 2),
        **{f"Maker Model {key}": ({"train"}, 2) for key in (2, 3)},
        **{f"Maker Model {key}": ({"test"}, 2) for key in (99, 100, 101)},
    }
    assert len(set(images.paths)) == 12


def test_all_distributions_of_cars_have_the_same_pixels(tmp_path: Path, cache: Path) -> None:
    found = []
    for write in (trees.write_cars196, trees.write_cars196_devkit, trees.write_cars196_kaggle):
        config = Cars196(path=str(write(tmp_path / write.__name__)), counts="any", image_size=16)
        images = load(config, cache)
        found.append(
            {(int(label), pixels.tobytes()) for label, pixels in zip(images.labels, images.images, strict=True)}
        )
    assert found[0] == found[1] == found[2]


def test_a_slash_in_the_name_of_a_car_is_a_dash_in_its_folder(tmp_path: Path, cache: Path) -> None:
    root = trees.write_cars196_kaggle(tmp_path / "cars")
    (root / "names.csv").write_bytes((root / "names.csv").read_bytes().replace(b"\n", b"\r\n"))
    images = load(Cars196(path=str(root), counts="any", image_size=16), cache)
    assert images.class_names[0] == "Maker C/V Model 1"
    assert images.paths[0] == "car_data/car_data/train/Maker C-V Model 1/00001.jpg"


def test_characters_are_named_with_their_alphabet(tmp_path: Path, cache: Path) -> None:
    """Background trains, evaluation tests; drawings of one bit become black ink on white paper."""
    root = trees.write_omniglot(tmp_path / "omniglot")
    images = load(Omniglot(path=str(root), counts="any"), cache)
    assert by_class(images) == {
        **{f"Greek/character0{key}": ({"train"}, 2) for key in (1, 2, 3)},
        **{f"Tibetan/character0{key}": ({"test"}, 2) for key in (1, 2, 3)},
    }
    assert images.paths[0] == "images_background/Greek/character01/0001_01.png"
    drawing = np.asarray(Image.open(root / images.paths[0]))
    assert np.array_equal(images.images[0, 0], np.where(drawing, 255, 0))
    colour = load(Omniglot(path=str(root), counts="any", channels=3), cache)
    assert np.array_equal(colour.images, images.images.repeat(3, axis=1))


def test_species_are_folders_of_the_lists(tmp_path: Path, cache: Path) -> None:
    root = trees.write_inaturalist(tmp_path / "inat")
    images = load(INaturalist(path=str(root), image_size=16), cache)
    assert by_class(images) == {
        **{f"Aves/{key}": ({"train"}, 2) for key in (0, 2, 4)},
        **{f"Plantae/{key}": ({"test"}, 2) for key in (1, 3, 5)},
    }
    assert images.class_names == ("Aves/0", "Plantae/1", "Aves/2", "Plantae/3", "Aves/4", "Plantae/5")
    for path in (root / "Inat_dataset_splits").iterdir():
        path.write_text(path.read_text().replace("/", "\\"))
        path.rename(root / path.name)
    assert load(INaturalist(path=str(root), image_size=16), cache).paths == images.paths


def test_products_are_named_by_kind_and_id(tmp_path: Path, cache: Path) -> None:
    images = load(Sop(path=str(trees.write_sop(tmp_path / "sop")), counts="any", image_size=16), cache)
    assert by_class(images) == {
        **{f"{kind} {key}": ({"train"}, 2) for kind, key in (("bicycle", 1), ("chair", 2), ("bicycle", 3))},
        **{f"{kind} {key}": ({"test"}, 2) for kind, key in (("bicycle", 11319), ("chair", 11320), ("bicycle", 11321))},
    }
    assert images.paths[0] == "bicycle_final/1_0.JPG"


def test_clothes_have_queries_and_a_gallery(tmp_path: Path, cache: Path) -> None:
    images = load(InShop(path=str(trees.write_inshop(tmp_path / "shop")), counts="any", image_size=16), cache)
    assert by_class(images) == {
        **{f"id_0000000{key}": ({"train"}, 2) for key in (1, 2, 3)},
        **{f"id_0000000{key}": ({"query", "gallery"}, 4) for key in (4, 5, 6)},
    }


@pytest.mark.parametrize("place", ["Eval", "Anno", "."])
@pytest.mark.parametrize("folder", ["Img/img", "img", "Img/img_highres", "img_highres"])
def test_clothes_lie_where_copies_have_them(place: str, folder: str, tmp_path: Path, cache: Path) -> None:
    root = trees.write_inshop(tmp_path / "shop", classes=2, images=1)
    (root / place).mkdir(exist_ok=True)
    (root / "Eval/list_eval_partition.txt").rename(root / place / "list_eval_partition.txt")
    (root / "Img/img").rename(root / "moved")
    (root / "Img").rmdir()
    (root / folder).parent.mkdir(exist_ok=True)
    (root / "moved").rename(root / folder)
    which = "img_highres" if folder.endswith("highres") else "img"
    config = InShop.model_validate({"path": str(root), "counts": "any", "image_size": 8, "images": which})
    assert load(config, cache).paths[0] == f"{folder}/WOMEN/Dresses/id_00000001/00_1_front.jpg"


def test_lists_written_on_windows_are_read(tmp_path: Path, cache: Path) -> None:
    root = trees.write_cub200(tmp_path / "cub")
    expected = cub(root, cache).paths
    rows = (root / "images.txt").read_text()
    (root / "images.txt").write_bytes(b"\xef\xbb\xbf" + rows.replace("/", "\\").replace("\n", "\r\n").encode())
    assert cub(root, cache).paths == expected


def test_grey_and_cmyk_photographs_become_rgb(tmp_path: Path, cache: Path) -> None:
    root = trees.write_cub200(tmp_path / "cub")
    first, second = sorted((root / "images/001.Bird_1").iterdir())
    Image.new("L", (30, 20), 80).save(first)
    Image.new("CMYK", (30, 20), (0, 255, 255, 0)).save(second)
    images = cub(root, cache).images
    assert np.abs(images[0].astype(int) - 80).max() <= 1
    assert np.abs(images[1].astype(int) - np.array([255, 0, 0])[:, None, None]).max() <= 4


def test_photographs_are_turned_as_their_exif_entry_says(tmp_path: Path, cache: Path) -> None:
    root = trees.write_cub200(tmp_path / "cub")
    photo = Image.new("RGB", (32, 32), RED)
    photo.paste(BLUE, (16, 0, 32, 32))  # red on the left
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: left is top
    stream = io.BytesIO()
    photo.save(stream, "JPEG", exif=exif, quality=95)
    (root / "images/001.Bird_1/Bird_1_0000.jpg").write_bytes(stream.getvalue())
    seen = cub(root, cache).images[0].astype(int)
    assert np.abs(seen[:, 2, :] - np.array(RED)[:, None]).max() < 12
    assert np.abs(seen[:, -3, :] - np.array(BLUE)[:, None]).max() < 12


def test_squash_keeps_the_sides_that_crop_loses(tmp_path: Path, cache: Path) -> None:
    root = trees.write_cub200(tmp_path / "cub")
    photo = Image.new("RGB", (64, 32), RED)
    photo.paste(BLUE, (0, 0, 16, 32))
    photo.save(root / "images/001.Bird_1/Bird_1_0000.jpg")
    blue = [cub(root, cache, resize=resize).images[0, 2, 8, 1] > 200 for resize in ("squash", "crop")]
    assert blue == [True, False]


def test_published_counts_are_accepted(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Cub200, "published", {"train": (6, 3), "test": (6, 3)})
    config = Cub200(path=str(trees.write_cub200(tmp_path / "cub")))
    assert resolve(config, search=(), cache=cache).revision


def test_whole_images_remember_their_shape(tmp_path: Path, cache: Path) -> None:
    images = cub(trees.write_cub200(tmp_path / "cub"), cache, resize="whole")
    assert images.shapes is not None
    assert images.shapes.tolist() == [[16, 20]] * 12
