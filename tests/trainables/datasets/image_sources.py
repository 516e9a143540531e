"""What is read of a directory, zip or CSV file of images, and the words with which it is refused."""

from pathlib import Path

import pytest

from trainables.datasets.catalog import load_images, resolve
from trainables.datasets.config import ImageFolder
from trainables.datasets.images import ImageSet
from trainables.errors import DataError


def loaded(path: Path, cache: Path) -> ImageSet:
    return load_images(ImageFolder(path=str(path), image_size=8), cache=cache)


def refusal(path: Path, cache: Path) -> str:
    with pytest.raises(DataError) as caught:
        resolve(ImageFolder(path=str(path)), search=(), cache=cache)
    return str(caught.value)
