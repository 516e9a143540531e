"""The content of a checkpoint: a run's state and its epoch rows so far, as bytes that load without running code."""

import io
from typing import Any

import torch

_VERSION = 1


def to_bytes(state: dict[str, Any], epoch_rows: list[dict[str, Any]]) -> bytes:
    """Serialises tensors and plain values."""
    buffer = io.BytesIO()
    torch.save({"version": _VERSION, "state": state, "epochs": epoch_rows}, buffer)
    return buffer.getvalue()


def from_bytes(payload: bytes) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The state and the epoch rows; refuses anything but tensors and plain values.

    Raises:
        ValueError: the bytes are no checkpoint of this version.
    """
    try:
        content = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises a dozen kinds for bad bytes
        raise ValueError(f"not a checkpoint: {error}") from error
    if not isinstance(content, dict) or content.get("version") != _VERSION:
        raise ValueError("a checkpoint of another version")
    if not {"state", "epochs"} <= content.keys():
        raise ValueError(f"a checkpoint with {sorted(content)} alone")
    return content["state"], content["epochs"]
