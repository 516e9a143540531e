"""What batches are taken from: an array in memory or on the GPU, or image files that are decoded meanwhile."""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from trainables.datasets.images import Images
from trainables.datasets.on_demand import OnDemand
from trainables.devices import sent

__all__ = ["Inputs", "Resident", "Streamed", "inputs_of"]

_RESIDENT_SHARE = 0.25
"""Share of a GPU's free memory that the images of a dataset may take to live there."""
_KEPT_OPEN = 2


class Inputs(Protocol):
    """uint8 [N, C, H, W] images, or float32 [N, F] features of a frozen backbone."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def take(self, positions: np.ndarray) -> Tensor:
        """Those at `positions`, on the device where they are kept."""
        ...

    def expect(self, batches: Iterable[np.ndarray]) -> None:
        """Announces the positions that will be taken next."""
        ...


@dataclass(frozen=True)
class Resident:
    """Inputs in memory, mapped from a file, or on the GPU."""

    tensor: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.tensor.shape)

    def take(self, positions: np.ndarray) -> Tensor:
        index = sent(torch.from_numpy(np.ascontiguousarray(positions)), self.tensor.device)
        return self.tensor.index_select(0, index)

    def expect(self, batches: Iterable[np.ndarray]) -> None:
        """Nothing: they are all here."""


@dataclass(frozen=True)
class Streamed:
    """Inputs that are decoded when they are taken, those of the next batch while a step runs."""

    images: OnDemand

    @property
    def shape(self) -> tuple[int, ...]:
        return self.images.shape

    def take(self, positions: np.ndarray) -> Tensor:
        return torch.from_numpy(self.images[positions])

    def expect(self, batches: Iterable[np.ndarray]) -> None:
        self.images.expect(batches)


def inputs_of(images: Images | np.ndarray, device: torch.device) -> Inputs:
    """Images, or features, as batches of a run on `device` are taken from them."""
    if isinstance(images, OnDemand):
        return Streamed(images)
    return Resident(_resident(np.asanyarray(images), device))


_opened: OrderedDict[tuple[str, str], Tensor] = OrderedDict()
"""The arrays that the last runs of this process used, most recent last: an actor trains many runs on one dataset."""


def _resident(array: np.ndarray, device: torch.device) -> Tensor:
    """The array as a tensor; one of a cache file, which is named by its content, is opened once."""
    if not isinstance(array, np.memmap) or array.filename is None:
        return _placed(torch.from_numpy(array), device)
    key = (str(array.filename), str(device))
    if key not in _opened:
        # Copy-on-write mapping: torch asks for a writable array, though nothing ever writes to it.
        mapped = np.memmap(array.filename, dtype=array.dtype, mode="c", offset=array.offset, shape=array.shape)
        _opened[key] = _placed(torch.from_numpy(mapped), device)
    _opened.move_to_end(key)
    while len(_opened) > _KEPT_OPEN:
        _opened.popitem(last=False)
    return _opened[key]


def _placed(tensor: Tensor, device: torch.device) -> Tensor:
    """Without a copy on a CPU; on a GPU it moves there where it fits."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info()
        if tensor.nbytes < free * _RESIDENT_SHARE:
            return tensor.to(device)
    return tensor
