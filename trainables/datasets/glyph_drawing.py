"""One image of a character: its outline bent, filled, thickened or thinned, greyed and disturbed at random."""

import math

import numpy as np
from numpy.typing import NDArray

from trainables.datasets.glyph_shapes import Outline, fill
from trainables.seeds import derive_seed

__all__ = ["draw"]

_FINE = 4  # drawn at this multiple of the size, then averaged
_SHARE = 0.73  # of the image that an undisturbed character spans

# What difficulty 1 allows, in either direction.
_ROTATION, _SHEAR = 0.24, 0.24  # radians, tangent
_STRETCH, _SCALE = 0.16, 0.2  # natural logarithms
_SHIFT = 0.12  # of the image, as far as the character stays inside
_BEND = 0.03  # of the character's size
_STROKE = 0.35  # natural logarithm of the amount of ink
_BLUR = 0.4  # weight of each neighbour
_FAINTNESS, _BACKGROUND, _NOISE = 0.4, 0.2, 0.17  # of the range of grey


def draw(outline: Outline, code: int, number: int, *, size: int, difficulty: float) -> NDArray[np.uint8]:
    """Image `number` of the character `code`: uint8 [1, size, size], bright ink on a dark ground.

    The same draws are used at every size and difficulty, which scales their effect. Only uniform numbers are drawn and
    coordinates are rounded, so that the last bits of a processor's sine do not reach the pixels.
    """
    random = np.random.default_rng(derive_seed(0, "glyphs", "image", code, number))
    shape, phases, look = random.uniform(-1, 1, 6), random.uniform(0, 2 * math.pi, 4), random.uniform(-1, 1, 5)
    points = _bent(outline, shape[:4] * difficulty, phases, _BEND * difficulty)
    points = _placed(points, shape[4:] * difficulty, size * _FINE)
    stroke, blur, faintness, background, noise = look * difficulty
    ink = _reduced(_thickened(fill(points, size * _FINE), _STROKE * stroke, size), size)
    ink = _blurred(ink, _BLUR * abs(blur))
    ground = _BACKGROUND * abs(background)
    contrast = (1 - ground) * (1 - _FAINTNESS * abs(faintness))
    image = ground + contrast * ink + _NOISE * abs(noise) * random.uniform(-1, 1, (size, size))
    pixels: NDArray[np.uint8] = np.clip(np.rint(image * 255), 0, 255).astype(np.uint8)
    return pixels[None]


def _bent(points: Outline, amounts: NDArray[np.float64], phases: NDArray[np.float64], bend: float) -> Outline:
    """Affine map, then a smooth displacement of two frequencies that moves no point much against its neighbours."""
    angle, shear, stretch, scale = amounts * (_ROTATION, _SHEAR, _STRETCH, _SCALE)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    skew = np.array([[math.exp(stretch), shear], [0, math.exp(-stretch)]]) * math.exp(scale)
    points = points @ (turn @ skew).T
    x, y = points[..., 0], points[..., 1]
    right = np.sin(4 * y + phases[0]) + np.sin(8 * x + phases[1]) / 2
    down = np.sin(4 * x + phases[2]) + np.sin(8 * y + phases[3]) / 2
    return np.asarray(points + bend * np.stack([right, down], axis=-1))


def _placed(points: Outline, shift: NDArray[np.float64], side: int) -> Outline:
    """In pixels of a square of `side`, centred but for a shift that keeps inside what fits, on a fine grid."""
    low, high = points.min((0, 1)), points.max((0, 1))
    room = np.clip((1 - (high - low) * _SHARE) / 2, 0, _SHIFT)
    placed = ((points - (low + high) / 2) * _SHARE + 0.5 + shift * room) * side
    return np.asarray(np.round(placed * 256) / 256)


def _thickened(mask: NDArray[np.bool_], growth: float, size: int) -> NDArray[np.bool_]:
    """The pixels whose neighbourhood has most ink, as many as make the ink grow by `growth` (natural logarithm).

    A threshold at a fixed level would wipe out thin lines; counting pixels cannot.
    """
    width = 2 * (size // 14) + 1
    nearby = mask.astype(np.int64)
    for _ in range(2):
        nearby = _box_sum(_box_sum(nearby, width).T, width).T
    wanted = min(mask.size, int(mask.sum()) * math.exp(growth))
    with_at_least = np.cumsum(np.bincount(nearby.ravel())[::-1])[::-1]
    level = np.flatnonzero(with_at_least >= wanted)[-1]
    return np.asarray(nearby >= max(level, 1))


def _box_sum(values: NDArray[np.int64], width: int) -> NDArray[np.int64]:
    """Sums of `width` neighbours along the first axis, zeros outside."""
    padded = np.pad(values, ((width // 2 + 1, width // 2), (0, 0)))
    total = np.cumsum(padded, axis=0)
    return np.asarray(total[width:] - total[:-width])


def _reduced(mask: NDArray[np.bool_], size: int) -> NDArray[np.float64]:
    return np.asarray(mask.reshape(size, _FINE, size, _FINE).mean((1, 3)))


def _blurred(image: NDArray[np.float64], weight: float) -> NDArray[np.float64]:
    for axis in (0, 1):
        image = (image + weight * (np.roll(image, 1, axis) + np.roll(image, -1, axis))) / (1 + 2 * weight)
    return image
