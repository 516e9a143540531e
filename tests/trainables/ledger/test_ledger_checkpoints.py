from collections.abc import Callable

import pytest
from ledger_tools import MemoryStore, run_name

from trainables.ledger import Checkpoint, Ledger
from trainables.ledger.checkpoints import pack, unpack

RUN = run_name(1)


@pytest.fixture
def ledger(place: str) -> Ledger:
    return Ledger.open(place, create=True)


def epochs(ledger: Ledger) -> list[str]:
    return [key.removeprefix(f"checkpoints/{RUN}/").removesuffix(".ckpt") for key in ledger.list("checkpoints/")]


def test_two_checkpoints_are_kept_newest_first(ledger: Ledger) -> None:
    for epoch in range(1, 6):
        ledger.save_checkpoint(RUN, "0001_01", epoch, b"state %d" % epoch)
    assert epochs(ledger) == ["0001_01-000004", "0001_01-000005"]
    assert list(ledger.checkpoints(RUN)) == [
        Checkpoint("0001_01", 5, b"state 5"),
        Checkpoint("0001_01", 4, b"state 4"),
    ]
    assert list(ledger.checkpoints(run_name(2))) == []


def test_older_one_is_deleted_only_after_the_newer_is_written() -> None:
    store, keys = MemoryStore(), []
    ledger = Ledger(store)
    store.before = lambda kind, key: keys.append(f"{kind} {key[-13:]}")
    for epoch in (1, 2, 3):
        ledger.save_checkpoint(RUN, "0001_01", epoch, b"")
    assert keys == ["put 1-000001.ckpt", "put 1-000002.ckpt", "put 1-000003.ckpt", "delete 1-000001.ckpt"]


def test_next_attempt_goes_on_where_the_last_was(ledger: Ledger) -> None:
    ledger.save_checkpoint(RUN, "0001_01", 4, b"a")
    ledger.save_checkpoint(RUN, "0001_01", 5, b"b")
    ledger.save_checkpoint(RUN, "0002_01", 6, b"c")
    assert epochs(ledger) == ["0001_01-000005", "0002_01-000006"]
    assert [saved.payload for saved in ledger.checkpoints(RUN)] == [b"c", b"b"]


def test_corrupt_checkpoint_does_not_push_out_the_good_one(ledger: Ledger) -> None:
    ledger.save_checkpoint(RUN, "0001_01", 4, b"good")
    ledger.save_checkpoint(RUN, "0001_01", 5, b"bad")
    ledger.put(f"checkpoints/{RUN}/0001_01-000005.ckpt", b"garbage")
    ledger.save_checkpoint(RUN, "0002_01", 5, b"redone from 4")
    assert epochs(ledger) == ["0001_01-000004", "0002_01-000005"]


def flip(position: int) -> Callable[[bytes], bytes]:
    def damage(data: bytes) -> bytes:
        at = position % len(data)
        return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]

    return damage


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda data: b"", "has 0 bytes, fewer than its header"),
        (lambda data: data[:30], "has 30 bytes, fewer than its header"),
        (lambda data: data[:-5], "holds 995 of 1000 bytes"),
        (lambda data: data + b"x", "holds 1001 of 1000 bytes"),
        (flip(0), "does not start like a checkpoint"),
        (flip(11), "format version 0, this program knows 1"),
        (flip(20), "checksum does not hold"),
        (flip(-1), "checksum does not hold"),
        (flip(500), "checksum does not hold"),
        (lambda data: bytes(len(data)), "does not start like a checkpoint"),
    ],
)
def test_corrupt_checkpoint_is_reported_and_the_older_one_used(
    ledger: Ledger, damage: Callable[[bytes], bytes], reason: str
) -> None:
    ledger.save_checkpoint(RUN, "0001_01", 1, b"old" * 300)
    ledger.save_checkpoint(RUN, "0001_01", 2, b"newer" * 200)
    key = f"checkpoints/{RUN}/0001_01-000002.ckpt"
    ledger.put(key, damage(ledger.get(key)))
    reports: list[tuple[str, str]] = []
    found = list(ledger.checkpoints(RUN, on_corrupt=lambda *report: reports.append(report)))
    assert found == [Checkpoint("0001_01", 1, b"old" * 300)]
    assert len(reports) == 1 and reports[0][0].endswith(key) and reason in reports[0][1]
    with pytest.warns(UserWarning, match=f"{key} cannot be used, .*{reason}; an older one is tried"):
        list(ledger.checkpoints(RUN))


def test_every_flipped_bit_is_noticed() -> None:
    whole = pack(b"payload")
    assert unpack(whole) == b"payload"
    for position in range(len(whole)):
        with pytest.raises(ValueError):
            unpack(flip(position)(whole))


def test_checkpoint_that_another_process_deletes_is_passed_over() -> None:
    store = MemoryStore()
    ledger = Ledger(store)
    for epoch in (1, 2):
        ledger.save_checkpoint(RUN, "0001_01", epoch, b"%d" % epoch)
    found = ledger.checkpoints(RUN, on_corrupt=lambda key, reason: pytest.fail(f"{key} {reason}"))
    assert next(found).epoch == 2
    store.objects.clear()
    assert list(found) == []
