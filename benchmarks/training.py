"""What the measurements of training share: a run on real images, and its data."""

import os
import zipfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.Image import Image

    from trainables.config import RunConfig
    from trainables.training.data import RunData

BACKBONES = ("conv4", "mobilenet_v2", "resnet18", "resnet50", "vit_small", "bn_inception")
_ARCHIVE = "cub200_2010_112px"


def photos(folder: Path, *, count: int, side: int) -> Path:
    """A folder of `<split>/<class>/<file>`: JPEG files of `side` pixels, `count` of each split.

    The photos of $DML_STUDY_DATA, enlarged where they are smaller; where there are none, glyphs of fonts. What an
    earlier call made is used again.
    """
    archive = Path(os.environ.get("DML_STUDY_DATA", "data")) / f"{_ARCHIVE}.zip"
    target = folder / ("photos" if archive.exists() else "glyphs")
    if target.exists():
        return target
    for name, image in _from(archive, count) if archive.exists() else _glyphs(folder, count):
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        image.convert("RGB").resize((side, side)).save(path, quality=90)
    return target


def _from(archive: Path, count: int) -> "list[tuple[str, Image]]":
    from PIL import Image

    with zipfile.ZipFile(archive) as opened:
        names = sorted(name for name in opened.namelist() if name.endswith(".jpg"))
        chosen = [name for split in ("train", "test") for name in _few([n for n in names if f"/{split}/" in n], count)]
        return [(name.partition("/")[2], Image.open(opened.open(name)).copy()) for name in chosen]


def _few(names: list[str], count: int) -> list[str]:
    """The first `count`, four of each class after four of each class."""
    seen: Counter[str] = Counter()
    turns = []
    for name in names:
        folder = name.rpartition("/")[0]
        turns.append((seen[folder] // 4, name))
        seen[folder] += 1
    return [name for _, name in sorted(turns)][:count]


def _glyphs(folder: Path, count: int) -> "list[tuple[str, Image]]":
    from PIL import Image

    from trainables.datasets.catalog import load_images, resolve
    from trainables.datasets.config import Glyphs

    config = Glyphs(classes=max(16, count // 10), images_per_class=20)
    images = load_images(resolve(config, search=(), cache=folder / "cache"), cache=folder / "cache")
    return [
        (f"{split}/{label}/{number}.jpg", Image.fromarray(images.images[number, 0]))
        for number, (split, label) in enumerate(zip(images.split, images.labels, strict=True))
    ]


def run_on(folder: Path, *, cache: Path, image_size: int, view: int | None = None, **sections: Any) -> "RunConfig":
    """A run of norm-softmax and Adam on the images of a folder, with random crops and flips.

    Args:
        image_size: side in pixels of decoded images.
        view: of what the network sees; `image_size` by default.
        sections: of the run, in place of these.
    """
    from trainables.config import RunConfig
    from trainables.datasets.catalog import resolve
    from trainables.datasets.config import ImageFolder

    dataset = resolve(ImageFolder(path=str(folder), image_size=image_size), search=(), cache=cache)
    augmentation = {"crop_scale": (0.2, 1.0), "flip": True, "crop_size": view}
    content = {"dataset": dataset.model_dump(), "embedding_dim": 512, "augmentation": augmentation, **sections}
    return RunConfig.model_validate(content)


def data_of(run: "RunConfig", *, cache: Path) -> "RunData":
    from trainables.training.build import set_numerics
    from trainables.training.data import load_run_data

    set_numerics(run)
    return load_run_data(run, cache=cache)


def backbone_of(name: str, size: int) -> dict[str, Any]:
    """A section of a run; a transformer is built for the size of the images."""
    return {"name": name, "image_size": size} if name == "vit_small" else {"name": name}
