"""What tests of figures look at: texts, and whether they run into each other."""

from itertools import combinations
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

LONG = "norm-softmax with a very long descriptive name that goes on and on"
ODD = "β $a_b$ ^ {"
"""A name that LaTeX and matplotlib would read as something else."""


def texts_in(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def line(figure: Figure, label: str, panel: int = 0) -> Any:
    return next(each for each in figure.axes[panel].lines if each.get_label() == label)


def _beyond_the_axis(ax: Any) -> list[Text]:
    """Labels of ticks outside the limits: they exist and are not drawn."""
    result = []
    for axis in (ax.xaxis, ax.yaxis):
        low, high = sorted(axis.get_view_interval())
        result += [tick.label1 for tick in axis.get_major_ticks() if not low <= tick.get_loc() <= high]
        result += [tick.label2 for tick in axis.get_major_ticks() if not low <= tick.get_loc() <= high]
    return result


def assert_nothing_overlaps(figure: Figure) -> None:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    shown = [text for text in figure.findobj(Text) if text.get_text().strip() and text.get_visible()]
    hidden = {label for ax in figure.axes for label in _beyond_the_axis(ax)}
    shown = [text for text in shown if text not in hidden and (text.axes is None or text.axes.get_visible())]
    boxes = {text: text.get_window_extent(renderer) for text in shown if text.get_rotation() in (0.0, 90.0)}
    for first, second in combinations(boxes, 2):
        one, two = boxes[first], boxes[second]
        width = min(one.x1, two.x1) - max(one.x0, two.x0)
        height = min(one.y1, two.y1) - max(one.y0, two.y0)
        assert width < 1 or height < 1, (first.get_text(), second.get_text())
    page = figure.bbox
    for text, box in boxes.items():
        assert box.x0 >= page.x0 - 1 and box.x1 <= page.x1 + 1, text.get_text()
        assert box.y0 >= page.y0 - 1 and box.y1 <= page.y1 + 1, text.get_text()
