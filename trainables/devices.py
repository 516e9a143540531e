"""Copies from the host to a device that training does not wait for."""

import torch
from torch import Tensor


def sent(values: Tensor, device: torch.device) -> Tensor:
    """The same values on a device; the host goes on at once.

    A plain `.to(device)` waits until the GPU has done all that it was given before, and a large copy from memory that
    the system may page out is waited for in any case. So a GPU gets its copy from pinned memory, which torch keeps and
    gives out again when the copy is over; the host may change or free its own.
    """
    if device.type == "cuda" and values.device.type == "cpu":
        values = values.pin_memory()
    return values.to(device, non_blocking=True)
