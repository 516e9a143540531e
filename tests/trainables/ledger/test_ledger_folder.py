import json
from pathlib import Path

import pytest

from trainables.errors import LedgerError
from trainables.ledger import Ledger


def test_created_folder_opens_again(tmp_path: Path) -> None:
    for path in (tmp_path / "deep" / "new", tmp_path / "empty"):
        (tmp_path / "empty").mkdir(exist_ok=True)
        Ledger.open(path, create=True).put("spec.yaml", b"study: x")
        assert Ledger.open(path).get("spec.yaml") == b"study: x"
        assert Ledger.open(path, create=True).get("spec.yaml") == b"study: x"
        content = json.loads((path / "schema.json").read_text())
        assert content == {"schema_version": 1, "kind": "dml-study results"}


def test_leftover_of_a_killed_creation_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / ".schema.json.0.tmp").write_bytes(b"{")
    assert Ledger.open(tmp_path, create=True).commits() == {}


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match=r"no results folder .*absent; `dml-study run` creates it"):
        Ledger.open(tmp_path / "absent")
    assert not (tmp_path / "absent").exists()


@pytest.mark.parametrize("create", [False, True])
def test_foreign_folder_is_refused_and_left_alone(tmp_path: Path, create: bool) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(LedgerError, match=r"not a results folder: it has no schema\.json.*choose"):
        Ledger.open(tmp_path, create=create)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("create", [False, True])
def test_file_is_refused(tmp_path: Path, create: bool) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError, match="is a file, not a results folder"):
        Ledger.open(tmp_path / "file", create=create)


@pytest.mark.parametrize("create", [False, True])
@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_other_schema_version_is_refused(tmp_path: Path, version: object, create: bool) -> None:
    (tmp_path / "schema.json").write_text(json.dumps({"schema_version": version, "kind": "dml-study results"}))
    with pytest.raises(LedgerError, match=f"{tmp_path} has schema version {version}, this program expects 1; use the"):
        Ledger.open(tmp_path, create=create)


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"kind": "recipes", "schema_version": 1}'])
def test_foreign_or_damaged_schema_file(tmp_path: Path, text: str) -> None:
    (tmp_path / "schema.json").write_text(text)
    with pytest.raises(LedgerError, match=r"schema\.json"):
        Ledger.open(tmp_path)


def test_plan_comes_back(tmp_path: Path) -> None:
    ledger = Ledger.open(tmp_path, create=True)
    with pytest.raises(LedgerError, match=r"plan\.json does not exist; `dml-study run` writes it"):
        ledger.read_plan()
    ledger.write_plan({"study": "größe", "cells": []})
    assert ledger.read_plan() == {"study": "größe", "cells": [], "schema_version": 1}
    ledger.put("plan.json", b"{")
    with pytest.raises(LedgerError, match=r"plan\.json is damaged"):
        ledger.read_plan()
    ledger.put("plan.json", b'{"schema_version": 9}')
    with pytest.raises(LedgerError, match="of another version"):
        ledger.read_plan()
