"""A sheet of sample images: a row per class."""

from collections.abc import Sequence
from pathlib import Path

from trainables.datasets.inspection import SampleRow
from trainables.errors import ConfigError

__all__ = ["write_sheet"]

_INCH, _MARGIN = 1.1, 0.5


def write_sheet(path: Path, rows: Sequence[SampleRow], *, title: str) -> None:
    """Draws images side by side, classes below one another with their split, and writes a PNG file.

    Raises:
        ConfigError: the file cannot be written, or its name has another suffix.
    """
    from matplotlib.figure import Figure

    if path.suffix.lower() != ".png":
        raise ConfigError(f"--output {path}: a sheet is written as .png; choose such a name")
    columns = max(len(row.images) for row in rows)
    figure = Figure(figsize=(_INCH * columns, (_INCH + _MARGIN / 2) * len(rows) + _MARGIN), layout="constrained")
    figure.suptitle(title, fontsize=9)
    axes = figure.subplots(len(rows), columns, squeeze=False)
    for places, row in zip(axes, rows, strict=True):
        for place in places:
            place.set_axis_off()
        places[0].set_title(f"{row.split}: {row.class_name}", fontsize=7, loc="left")
        for place, image in zip(places, row.images, strict=False):
            place.imshow(image.transpose(1, 2, 0), cmap="gray", vmin=0, vmax=255)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=150)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}; choose another --output") from error
