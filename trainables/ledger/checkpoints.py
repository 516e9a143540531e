"""Checkpoints of unfinished runs: opaque bytes in a container that proves them whole."""

import hashlib
import struct
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from trainables.ledger.errors import MissingKeyError
from trainables.ledger.names import attempt_order, checkpoint_key, parse_checkpoint
from trainables.ledger.places import keyed
from trainables.ledger.store import Store

_MAGIC, _VERSION = b"dml-ckpt", 1
_HEADER = struct.Struct(">8sI32sQ")  # magic, version, SHA-256 and length of the payload

OnCorrupt = Callable[[str, str], None]
"""Called with the key of a checkpoint that cannot be used and the reason."""


@dataclass(frozen=True)
class Checkpoint:
    """The state of a run after `epoch` epochs, and all its epoch rows so far."""

    attempt: str
    epoch: int
    payload: bytes


def save(store: Store, run_id: str, attempt: str, epoch: int, payload: bytes) -> None:
    """Writes a checkpoint, then deletes all but it and the newest of an earlier epoch."""
    key = checkpoint_key(run_id, attempt, epoch)
    store.put(key, pack(payload))
    earlier = [other for other in _by_progress(store, run_id) if _order(other)[0] < epoch]
    for other in _by_progress(store, run_id):
        if other not in (key, *earlier[:1]):
            store.delete(other)


def load(store: Store, run_id: str, *, on_corrupt: OnCorrupt) -> Iterator[Checkpoint]:
    """Usable checkpoints, the one with most epochs first."""
    for key in _by_progress(store, run_id):
        try:
            payload = unpack(store.get(key))
        except MissingKeyError:
            continue  # another process finished the run or went on with it
        except ValueError as error:
            on_corrupt(keyed(store.location, key), str(error))
            continue
        _, attempt, epoch = _names(key)
        yield Checkpoint(attempt, epoch, payload)


def _by_progress(store: Store, run_id: str) -> list[str]:
    """Keys of a run's checkpoints, the one with most epochs first; of equal epochs the youngest attempt."""
    found = store.list(f"checkpoints/{run_id}/")
    return sorted((key for key in found if parse_checkpoint(key)), key=_order, reverse=True)


def pack(payload: bytes) -> bytes:
    """The payload behind a header with its length and checksum."""
    return _HEADER.pack(_MAGIC, _VERSION, hashlib.sha256(payload).digest(), len(payload)) + payload


def unpack(data: bytes) -> bytes:
    """The payload of `pack`; ValueError with the reason when the bytes are not what was written."""
    if len(data) < _HEADER.size:
        raise ValueError(f"it has {len(data)} bytes, fewer than its header")
    magic, version, digest, length = _HEADER.unpack_from(data)
    payload = data[_HEADER.size :]
    if magic != _MAGIC:
        raise ValueError("it does not start like a checkpoint")
    if version != _VERSION:
        raise ValueError(f"it has format version {version}, this program knows {_VERSION}")
    if len(payload) != length:
        raise ValueError(f"it holds {len(payload)} of {length} bytes")
    if hashlib.sha256(payload).digest() != digest:
        raise ValueError("its checksum does not hold")
    return payload


def warn_corrupt(key: str, reason: str) -> None:
    """What is done about a corrupt checkpoint unless the caller says otherwise."""
    warnings.warn(f"checkpoint {key} cannot be used, {reason}; an older one is tried", stacklevel=2)


def _order(key: str) -> tuple[int, tuple[int, int]]:
    _, attempt, epoch = _names(key)
    return epoch, attempt_order(attempt)


def _names(key: str) -> tuple[str, str, int]:
    names = parse_checkpoint(key)
    if names is None:
        raise ValueError(f"{key} is no checkpoint")
    return names
