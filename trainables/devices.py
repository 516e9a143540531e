"""Copies from the host to a device that training does not wait for."""

import torch
from torch import Tensor


def sent(values: Tensor, device: torch.device) -> Tensor:
    """The same values on a device; the host goes on at once.

    A plain `.to(device)` of memory that is not pinned waits until the GPU has done all that it was given before. With
    `non_blocking` the driver keeps a copy of such memory, so the host may change or free its own.
    """
    return values.to(device, non_blocking=True)
