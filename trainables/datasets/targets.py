"""Real-valued or vector labels of images, and the distances between them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["Targets"]

Positions = int | NDArray[np.int64]


@dataclass(frozen=True)
class Targets:
    """Continuous labels: poses, angles, positions.

    Attributes:
        values: float64 [N, T].
        group: int64 [N]; labels are comparable within a group only (angles of one object).
        period: the length after which every coordinate starts again, 360 for degrees; None where it never does.
    """

    values: NDArray[np.float64]
    group: NDArray[np.int64]
    period: float | None = None

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or not self.values.shape[1] or self.group.shape != self.values.shape[:1]:
            shapes = f"{list(self.values.shape)} and {list(self.group.shape)}"
            raise ValueError(f"expected target values [N, T] and groups [N]; got {shapes}")
        if self.period is not None and not self.period > 0:
            raise ValueError(f"a period is above 0, got {self.period}")

    @classmethod
    def recorded(cls, content: Mapping[str, Any]) -> Self:
        """From plain lists under the names of the attributes; read-only."""
        values = np.array(content["values"], dtype=np.float64)
        group = np.array(content["group"], dtype=np.int64)
        for array in (values, group):
            array.setflags(write=False)
        return cls(values, group, content["period"])

    def __len__(self) -> int:
        return len(self.group)

    def at(self, positions: NDArray[np.int64]) -> "Targets":
        """The labels of some images [M], which become positions 0..M-1."""
        return Targets(self.values[positions], self.group[positions], self.period)

    def joined(self, others: "Targets") -> "Targets":
        """These labels, then others of the same kind.

        Raises:
            ValueError: another period or another number of coordinates.
        """
        if self.period != others.period or self.values.shape[1] != others.values.shape[1]:
            raise ValueError("continuous labels of different periods or dimensions do not belong together")
        values, group = np.concatenate([self.values, others.values]), np.concatenate([self.group, others.group])
        return Targets(values, group, self.period)

    def distances(self, anchors: Positions, others: Positions) -> NDArray[np.float64]:
        """Euclidean distances between labels; around the circle, min(d, period - d) per coordinate, where they repeat.

        Args:
            anchors: one position or an array of them; broadcast against `others`: [B, 1] and [M] give [B, M].
            others: positions.

        Raises:
            ValueError: labels of two groups, which have no distance.
        """
        if (self.group[anchors] != self.group[others]).any():
            raise ValueError("labels of different groups are not comparable")
        difference = np.abs(self.values[anchors] - self.values[others])
        if self.period is not None:
            difference %= self.period
            difference = np.minimum(difference, self.period - difference)
        distances: NDArray[np.float64] = np.sqrt(np.square(difference).sum(axis=-1))
        return distances
