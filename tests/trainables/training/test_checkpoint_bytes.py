"""Checkpoints as bytes: what comes back, and that nothing in them can run."""

import io
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from trainables.training import checkpoint

STATE = {
    "epoch": 3,
    "weights": {"a": torch.arange(6.0).view(2, 3), "b": torch.ones(1, 2, 3, 3).to(memory_format=torch.channels_last)},
    "score": float("nan"),
    "nothing": None,
    "list": [1, "two", (3.0, True)],
}
ROWS = [{"epoch": 1, "train_loss": 0.5, "extra": {"val_recall_at_2": 0.25}}]


class Payload:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


def saved(content: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def test_a_state_and_its_rows_come_back_as_they_were() -> None:
    state, rows = checkpoint.from_bytes(checkpoint.to_bytes(STATE, ROWS))
    assert rows == ROWS
    assert state.keys() == STATE.keys()
    for key, value in STATE["weights"].items():  # type: ignore[attr-defined]
        assert torch.equal(state["weights"][key], value)
        assert state["weights"][key].stride() == value.stride()
    assert state["score"] != state["score"]
    assert (state["nothing"], state["list"]) == (None, STATE["list"])


@pytest.mark.parametrize("wrapped", ["in torch's format", "as a bare pickle", "inside a state"])
def test_a_payload_that_would_run_code_is_refused_and_does_not_run(tmp_path: Path, wrapped: str) -> None:
    target = tmp_path / "ran"
    content = {"version": 1, "state": {"x": Payload(target)}, "epochs": []}
    data = {
        "in torch's format": lambda: saved(Payload(target)),
        "as a bare pickle": lambda: pickle.dumps(content, protocol=2),
        "inside a state": lambda: saved(content),
    }[wrapped]()
    with pytest.raises(ValueError, match="not a checkpoint"):
        checkpoint.from_bytes(data)
    assert not target.exists()


@pytest.mark.parametrize("payload", [b"", b"garbage", b"PK\x03\x04" + bytes(100), bytes(1000)])
def test_garbage_is_a_value_error(payload: bytes) -> None:
    with pytest.raises(ValueError, match="not a checkpoint"):
        checkpoint.from_bytes(payload)


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.99])
def test_a_checkpoint_that_was_cut_short_is_a_value_error(kept: float) -> None:
    whole = checkpoint.to_bytes(STATE, ROWS)
    with pytest.raises(ValueError, match="not a checkpoint"):
        checkpoint.from_bytes(whole[: int(len(whole) * kept)])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"version": 999, "state": {}, "epochs": []}, "another version"),
        ({"state": {}, "epochs": []}, "another version"),
        ([1, 2], "another version"),
        ({"version": 1, "state": {}}, "a checkpoint with .'state', 'version'. alone"),
    ],
)
def test_other_content_is_a_value_error(content: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        checkpoint.from_bytes(saved(content))
