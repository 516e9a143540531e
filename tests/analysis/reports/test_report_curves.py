"""The small drawings: every point where it belongs, in few bytes."""

import re

import numpy as np
import pytest
from study_in_memory import Study

from analysis.reports.cells import curves
from analysis.reports.curves import HEIGHT, WIDTH, Line, Scale, drawing, scale_of


def line(values: list[float], *, epochs: list[int] | None = None, selected: int | None = None) -> Line:
    x = np.arange(1, len(values) + 1) if epochs is None else np.array(epochs)
    return Line(0, x.astype(float), np.array(values), selected)


def picture(*lines: Line, scale: Scale | None = None, last: float = 4) -> str:
    found = scale or scale_of(lines)
    assert found is not None
    return drawing(lines, found, last, description="d", labels=("0", "1"))


def points(text: str) -> list[list[tuple[int, int]]]:
    """Absolute coordinates of every stroke of the first line."""
    (path,) = re.findall(r'<path class="s0" d="([^"]+)"', text)[:1]
    strokes: list[list[tuple[int, int]]] = []
    for letter, x, y in re.findall(r"([Ml])(-?\d+) ?(-?\d+)", path):
        if letter == "M":
            strokes.append([(int(x), int(y))])
        else:
            before = strokes[-1][-1]
            strokes[-1].append((before[0] + int(x), before[1] + int(y)))
    return strokes


def test_points_lie_on_the_scale() -> None:
    assert points(picture(line([0.0, 0.5, 1.0, 0.25]))) == [
        [(60, HEIGHT), (120, HEIGHT // 2), (180, 0), (WIDTH, 3 * HEIGHT // 4)]
    ]


def test_the_selected_epoch_is_a_dot() -> None:
    text = picture(line([0.0, 1.0, 0.5, 0.5], selected=2))
    assert re.findall(r'<circle class="s0" cx="(\d+)" cy="(\d+)"', text) == [("120", "0")]


def test_a_line_is_broken_where_nothing_finite_was_measured() -> None:
    gap = points(picture(line([0.0, 0.1, np.nan, np.nan, 0.9, 1.0, 0.8], epochs=[1, 2, 3, 4, 5, 6, 7]), last=7))
    assert [len(stroke) for stroke in gap] == [2, 3]
    every_fifth = points(picture(line([0.0, 0.5, 1.0], epochs=[5, 10, 15]), last=15))
    assert [len(stroke) for stroke in every_fifth] == [3]


def test_long_lines_keep_their_extremes() -> None:
    values = np.sin(np.arange(5000) / 300)
    values[1234], values[4321] = 3.0, -3.0
    text = picture(line(list(values)), last=5000)
    (stroke,) = points(text)
    assert len(text) < 3000 and len(stroke) <= WIDTH
    assert min(y for _, y in stroke) == 0 and max(y for _, y in stroke) == HEIGHT
    assert stroke[-1][0] == WIDTH


def test_a_run_that_diverged_does_not_flatten_the_others() -> None:
    good = [line([3.0, 2.0, 1.0, 0.5]) for _ in range(9)]
    scale = scale_of([*good, line([3.0, 1e30, 1e35, 1e38])])
    assert scale is not None and scale.cut and scale.high < 1e36
    alone = scale_of([*good, *good, *good, line([3.0, 1e30, 2.0, 2.0])])
    assert alone is not None and alone.cut and alone.high < 20
    assert scale_of(good) == Scale(0.5, 3.0)
    assert scale_of([line([np.nan, np.inf])]) is None and scale_of([]) is None
    assert scale_of([line([2.0, 2.0])]) == Scale(2.0, 2.0)


def test_cells_of_a_dataset_share_a_scale_and_losses_their_own() -> None:
    study = Study(axes=["dataset"])
    for dataset, top in (("glyphs", 0.4), ("cub", 0.9)):
        for loss, worst in (("norm_softmax", 4.0), ("proxy_anchor", 40.0)):
            cell = study.add(loss, [0.5, 0.6, 0.7], dataset=dataset, settings={"loss": loss})
            study.curve(cell, [[0.0, top]] * 3)
            study.curve(cell, [[worst, 0.0]] * 3, metric="train_loss")
    text = curves(study.results())
    ends = re.findall(r'<text x="-4" y="6">([^<]+)</text>', text)
    assert ends == ["40.00", "4.00", "90.00", "4.00", "40.00", "40.00", "90.00", "40.00"]


@pytest.mark.parametrize("names", [["test_map_at_r"], []])
def test_without_validation_what_was_recorded_is_drawn(names: list[str]) -> None:
    study = Study()
    cell = study.add("a", [0.5, 0.6, 0.7])
    for name in names:
        study.curve(cell, [[0.1, 0.2]] * 3, metric=name)
    text = curves(study.results())
    assert ("10.00 to 20.00 %" in text) == bool(names)
    assert ("Nothing was recorded by epoch." in text) != bool(names)


def test_two_hundred_cells_are_light() -> None:
    study = Study(axes=["dataset", "synthesis.ratio"], seeds=range(5))
    generator = np.random.default_rng(0)
    for index in range(200):
        cell = study.add("PS", [0.5] * 5, synthesis__ratio=float(index))
        study.curve(cell, generator.random((5, 100)).tolist())
    text = curves(study.results())
    assert text.count("<article") == 200 and text.count('<path class="s') == 200 * 5 + 5
    assert len(text.encode()) < 1_000_000
