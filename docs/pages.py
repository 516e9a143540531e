"""What the scripts that make pages of this folder share: commands run as a reader would, and small pictures."""

import contextlib
import os
import shlex
import tempfile
from collections.abc import Iterator
from pathlib import Path

from PIL import Image
from typer.testing import CliRunner

from study.cli.app import app

DOCS = Path(__file__).resolve().parent
COLUMN, PAGE = 760, 1300
"""Pixels of a picture as wide as a paper's column, or as its page: twice what the page shows it at."""
_LARGEST = 60_000
"""Bytes of a picture."""


@contextlib.contextmanager
def beside(results: Path) -> Iterator[None]:
    """Inside, `results/` is that folder, as in the commands of the pages."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        for study in results.resolve().iterdir():  # links: what commands write into `results/` is gone afterwards
            link = Path(folder) / "results" / study.name
            link.parent.mkdir(exist_ok=True)
            link.symlink_to(study, target_is_directory=True)
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(before)


def output(command: str) -> str:
    """What a command prints; of several, in lines, the last.

    Raises:
        RuntimeError: it failed.
    """
    *first, command = command.splitlines()
    for each in first:
        output(each)
    name, *arguments = shlex.split(command)
    assert name == "dml-study", command
    done = CliRunner().invoke(app, arguments, env={"COLUMNS": "120", "TERM": "dumb"})
    if done.exit_code:
        raise RuntimeError(f"{command}: {done.output} {done.exception}") from done.exception
    return done.output


def picture(command: str, target: Path) -> None:
    """The picture that a command draws (of several the first), small: `--output` is added to it."""
    with tempfile.TemporaryDirectory() as folder:
        name = shlex.split(command)[1]
        place = folder if name == "plot-run" else f"{folder}/picture.png"
        output(f"{command} --output {place}")
        _shrink(min(Path(folder).glob("*.png"), key=lambda file: len(file.name)), target)


def _shrink(source: Path, target: Path) -> None:
    """As wide as the page shows it, in as many colours as fit."""
    with Image.open(source) as image:
        drawn = image.convert("RGB")
    wide = PAGE if drawn.width > 1200 else COLUMN
    target.parent.mkdir(parents=True, exist_ok=True)
    for width, colors in (
        (wide, 128),
        (0.85 * wide, 128),
        (0.7 * wide, 128),
        (0.7 * wide, 48),
        (0.6 * wide, 32),
        (0.5 * wide, 24),
    ):
        size = (round(width), round(drawn.height * width / drawn.width))
        scaled = drawn.resize(size, Image.Resampling.LANCZOS)
        # The method that keeps rare colours: a line's colour tells what it is.
        small = scaled.quantize(colors, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        small.save(target, optimize=True)
        if target.stat().st_size <= _LARGEST:
            return


def fenced(text: str, language: str) -> str:
    """A block of code."""
    return f"```{language}\n{text.rstrip()}\n```"
