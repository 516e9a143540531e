"""What a person is told where a disk is full or refuses: caches and prepared datasets have remedies of their own."""

import errno
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from trainables.datasets.storage import (
    ARRAY_REMEDY,
    CACHE_REMEDY,
    INTO_REMEDY,
    require_cache_room,
    require_room,
    storage_errors,
)
from trainables.errors import DataError

REMEDIES = {CACHE_REMEDY: "DML_STUDY_CACHE", ARRAY_REMEDY: "DML_STUDY_CACHE", INTO_REMEDY: "--into"}


def told(error: OSError, *, remedy: str, needed: int | None = None) -> str:
    with pytest.raises(DataError) as caught, storage_errors(Path("place"), remedy=remedy, needed=needed):
        raise error
    assert caught.value.__cause__ is error
    return str(caught.value)


@pytest.mark.parametrize("remedy", REMEDIES)
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EIO])
def test_every_message_has_the_remedy_of_its_use(remedy: str, code: int) -> None:
    message = told(OSError(code, os.strerror(code)), remedy=remedy)
    assert message.startswith("place")
    assert os.strerror(code) in message
    assert [word for word in ("DML_STUDY_CACHE", "--into") if word in message] == [REMEDIES[remedy]]
    assert ("free some space" in message) == (code in (errno.ENOSPC, errno.EDQUOT))


def test_the_bytes_are_named_where_room_is_what_is_missing() -> None:
    full, refused = OSError(errno.ENOSPC, "full"), OSError(errno.EACCES, "denied")
    assert "the disk is full, 3.0 MiB needed (full)" in told(full, remedy=INTO_REMEDY, needed=3 * 2**20)
    assert "MiB" not in told(refused, remedy=INTO_REMEDY, needed=3 * 2**20)
    assert "cannot be written (no number)" in told(OSError("no number"), remedy=INTO_REMEDY)


def test_room_is_asked_for_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=2**20))
    require_room(tmp_path, 2**20, remedy=INTO_REMEDY)
    with pytest.raises(DataError, match=r"2\.0 MiB needed and 1\.0 MiB free; free some space or .*--into"):
        require_room(tmp_path, 2**21, remedy=INTO_REMEDY)
    with pytest.raises(DataError, match="free some space or set DML_STUDY_CACHE .*decode: each_time"):
        require_cache_room(tmp_path, 2**21, arrays="*")
