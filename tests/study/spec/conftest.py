"""Specs written on the fly."""

from collections.abc import Callable
from pathlib import Path

import pytest

WriteSpec = Callable[..., Path]


@pytest.fixture
def write_spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WriteSpec:
    """Writes a file into the working directory of the test and returns its relative path."""
    monkeypatch.chdir(tmp_path)

    def write(text: str, name: str = "spec.yaml") -> Path:
        (tmp_path / name).write_text(text, encoding="utf-8")
        return Path(name)

    return write
