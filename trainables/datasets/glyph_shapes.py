"""Outlines of the characters of a font, and which of them are different shapes.

Everything here is exact (integers, or floating-point sums of integers), so that every machine finds the same classes.
"""

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["distinct_outlines", "fill", "outlines_of"]

Outline = NDArray[np.float64]
"""[E, 2, 2]: edges, start and end, x and y (down). The box is centred on 0, its long side is 1."""

_BLOCKS = (
    (0x0021, 0x00AC),  # Latin, digits, punctuation
    (0x00AE, 0x024F),  # without the soft hyphen
    (0x0250, 0x02AF),  # phonetic
    (0x0370, 0x0482),  # Greek, Cyrillic
    (0x048A, 0x052F),  # without enclosing marks
    (0x0530, 0x06FF),  # Armenian, Hebrew, Arabic
    (0x07C0, 0x07FF),  # NKo
    (0x0E80, 0x0EFF),  # Lao
    (0x10A0, 0x10FF),  # Georgian
    (0x1400, 0x167F),  # Canadian syllabics
    (0x1681, 0x169F),  # Ogham without its space
    (0x2190, 0x23FF),  # arrows, mathematical and technical symbols
    (0x2600, 0x27BF),  # other symbols, dingbats
    (0x2C60, 0x2CFF),  # Latin extended, Coptic
    (0x2D30, 0x2D7F),  # Tifinagh
    (0xA4D0, 0xA4FF),  # Lisu
    (0xA720, 0xA7FF),  # Latin extended
    (0x10300, 0x1032F),  # Old Italic
)
_CURVE_STEPS = 4
_CANVAS, _LONG_SIDE, _TOLERANCE = 48, 40, 2  # pixels
_LARGEST_DIFFERENCE = 10  # percent


@lru_cache(maxsize=1)
def distinct_outlines(font: Path) -> dict[int, Outline]:
    """Code point -> outline, of every character that does not look like one with a smaller code point.

    Two characters look alike when, drawn at the same size, at most a tenth of either's ink lies more than two fortieths
    of the size away from the other's: homoglyphs (Latin A, Greek Alpha), other sizes (o, O), other stroke widths.
    """
    outlines = outlines_of(font)
    masks = np.stack([fill(outline * _LONG_SIDE + _CANVAS / 2, _CANVAS) for outline in outlines.values()])
    alike = _alike(masks)
    kept: list[int] = []
    for position in range(len(masks)):
        if not alike[position, kept].any():
            kept.append(position)
    codes = list(outlines)
    return {codes[position]: outlines[codes[position]] for position in kept}


def _alike(masks: NDArray[np.bool_]) -> NDArray[np.bool_]:
    ink = masks.reshape(len(masks), -1).astype(np.float32)
    near = _dilated(masks).reshape(len(masks), -1).astype(np.float32)
    amount = ink.sum(1)
    far = amount[:, None] - ink @ near.T  # pixels of the row's character that the column's does not come near
    different = 100 * far > _LARGEST_DIFFERENCE * amount[:, None]
    return np.asarray(~(different | different.T))


def _dilated(masks: NDArray[np.bool_]) -> NDArray[np.bool_]:
    result = masks.copy()
    reach = range(-_TOLERANCE, _TOLERANCE + 1)
    for down, right in ((y, x) for y in reach for x in reach if x * x + y * y <= _TOLERANCE**2):
        result |= np.roll(masks, (down, right), axis=(1, 2))
    return result


def fill(edges: Outline, side: int) -> NDArray[np.bool_]:
    """The pixels [side, side] whose centres lie inside closed outlines (nonzero winding), in pixel coordinates."""
    (x0, y0), (x1, y1) = edges[:, 0].T, edges[:, 1].T
    rows = np.arange(side) + 0.5
    edge, row = np.nonzero((y0[:, None] <= rows) != (y1[:, None] <= rows))
    x = x0[edge] + (rows[row] - y0[edge]) * (x1 - x0)[edge] / (y1 - y0)[edge]
    column = np.clip(np.ceil(x - 0.5), 0, side).astype(np.int64)
    direction = np.where(y1 > y0, 1, -1)[edge]
    turns = np.bincount(row * (side + 1) + column, weights=direction, minlength=side * (side + 1))
    return np.asarray(np.cumsum(turns.reshape(side, side + 1), axis=1)[:, :side] != 0)


def outlines_of(font: Path) -> dict[int, Outline]:
    """Code point -> outline of every visible character of the chosen blocks, in order of code points.

    Left out are combining marks, spaces, and what Unicode decomposes into others (accents, ligatures, presentation
    forms); these properties never change between Unicode versions, so neither do the classes.
    """
    from fontTools.ttLib import TTFont

    with TTFont(font, lazy=True) as opened:
        names, glyphs, widths = opened.getBestCmap(), opened.getGlyphSet(), opened["hmtx"]
        found = {}
        for code in (code for first, last in _BLOCKS for code in range(first, last + 1)):
            if code in names and _stands_alone(chr(code)) and widths[names[code]][0] > 0:
                found[code] = np.array(list(_edges(glyphs, names[code])), dtype=np.float64).reshape(-1, 2, 2)
    return {code: _normalized(edges) for code, edges in found.items() if len(edges)}


def _stands_alone(character: str) -> bool:
    return unicodedata.normalize("NFKD", character) == character and not unicodedata.combining(character)


def _normalized(edges: Outline) -> Outline:
    low, high = edges.min((0, 1)), edges.max((0, 1))
    return np.asarray((edges - (low + high) / 2) / (high - low).max() * (1, -1))


Point = tuple[float, float]


def _edges(glyphs: Any, name: str) -> Iterator[tuple[Point, Point]]:
    """The straight edges of one glyph in font units, its curves cut into pieces."""
    from fontTools.pens.recordingPen import DecomposingRecordingPen

    pen = DecomposingRecordingPen(glyphs)
    glyphs[name].draw(pen)
    start = position = (0.0, 0.0)
    for operation, points in _anchored(pen.value):
        if operation == "moveTo":
            start = position = points[0]
        for point in _straightened(operation, position, points, start):
            yield position, point
            position = point


def _anchored(operations: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    """The same operations; a contour of control points alone starts between its last and its first."""
    for operation, points in operations:
        if points and points[-1] is None:
            middle = _middle(points[-2], points[0])
            yield "moveTo", (middle,)
            yield operation, (*points[:-1], middle)
        else:
            yield operation, points


def _straightened(operation: str, position: Point, points: Sequence[Point], start: Point) -> Iterator[Point]:
    from fontTools.pens.basePen import decomposeQuadraticSegment

    if operation == "lineTo":
        yield points[0]
    elif operation == "closePath":
        yield start
    elif operation == "qCurveTo":
        for control, end in decomposeQuadraticSegment(points):
            for step in range(1, _CURVE_STEPS + 1):
                yield _on_curve(position, control, end, step / _CURVE_STEPS)
            position = end


def _on_curve(start: Point, control: Point, end: Point, at: float) -> Point:
    a, b, c = (1 - at) ** 2, 2 * at * (1 - at), at**2
    return a * start[0] + b * control[0] + c * end[0], a * start[1] + b * control[1] + c * end[1]


def _middle(a: Point, b: Point) -> Point:
    return (a[0] + b[0]) / 2, (a[1] + b[1]) / 2
