"""What a worker on a node adopts of its driver, and what it takes from its own machine."""

import os
from pathlib import Path

import pytest

from trainables.backbones.config import Conv4
from trainables.config import RunConfig
from trainables.datasets.config import ImageFolder
from trainables.errors import DataError
from trainables.shipped import (
    adopt,
    cache_here,
    code_fingerprint,
    plugins_here,
    require_data,
    travelling,
    with_own_data,
)

SECRETS = {"AWS_ACCESS_KEY_ID": "driver", "AWS_SECRET_ACCESS_KEY": "hush", "AWS_SESSION_TOKEN": "t"}


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without settings of its own; what a test adopts is undone."""
    for name in (*SECRETS, "AWS_REGION", "DML_STUDY_DATA", "DML_STUDY_CACHE", "DML_STUDY_CACHE_LIMIT", "TORCH_HOME"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def test_data_settings_travel_and_secrets_only_where_results_need_them(tmp_path: Path) -> None:
    environment = {
        "DML_STUDY_DATA": "data",
        "DML_STUDY_CACHE_LIMIT": "5GB",
        "PATH": "/bin",
        "AWS_REGION": "x",
        **SECRETS,
    }
    own = {"DML_STUDY_DATA": str(Path.cwd() / "data"), "DML_STUDY_CACHE_LIMIT": "5GB"}
    assert travelling(environment, object_store=False) == own
    assert travelling(environment, object_store=True) == {**own, "AWS_REGION": "x", **SECRETS}


def test_a_node_keeps_its_own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DML_STUDY_DATA", "/node/data")
    adopt({"DML_STUDY_DATA": "/driver/data", "DML_STUDY_CACHE_LIMIT": "5GB", **SECRETS})
    assert os.environ["DML_STUDY_DATA"] == "/node/data"
    assert os.environ["DML_STUDY_CACHE_LIMIT"] == "5GB"
    assert {name: os.environ[name] for name in SECRETS} == SECRETS


def test_credentials_of_two_owners_are_never_mixed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "node")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "own")
    adopt(SECRETS)
    assert os.environ["AWS_ACCESS_KEY_ID"] == "node" and "AWS_SESSION_TOKEN" not in os.environ


def test_a_cache_that_nobody_chose_is_the_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DML_STUDY_CACHE", "/scratch/cache")
    assert cache_here(None) == Path("/scratch/cache")
    assert cache_here("/chosen") == Path("/chosen")


def test_shipped_plugins_lie_in_this_package() -> None:
    import trainables

    assert plugins_here(["_plugins/a.py", "/elsewhere/b.py"]) == [
        Path(str(trainables.__file__)).parent / "_plugins" / "a.py",
        Path("/elsewhere/b.py"),
    ]


def run(folder: Path) -> RunConfig:
    (folder / "w.pth").touch()
    return RunConfig(
        dataset=ImageFolder(path=str(folder / "birds"), revision="1"),
        backbone=Conv4(weights=str(folder / "w.pth"), weights_revision="1"),
    )


def test_data_at_another_place_of_a_node_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "node" / "birds").mkdir(parents=True)
    planned = run(tmp_path)
    (tmp_path / "w.pth").unlink()
    moved = with_own_data(planned, str(tmp_path))
    assert moved == planned  # the node names no place of its own
    monkeypatch.setenv("DML_STUDY_DATA", str(tmp_path / "node"))
    moved = with_own_data(planned, str(tmp_path))
    assert moved.dataset.path == str(tmp_path / "node" / "birds")
    assert moved.backbone.weights == planned.backbone.weights  # is in neither place: the message names the driver's
    assert moved.run_id() == planned.run_id()


def test_data_at_the_same_place_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in (tmp_path, tmp_path / "node"):
        (folder / "birds").mkdir(parents=True)
    monkeypatch.setenv("DML_STUDY_DATA", str(tmp_path / "node"))
    planned = run(tmp_path)
    assert with_own_data(planned, str(tmp_path)) == planned


def test_a_node_without_the_data_or_the_weights_says_so(tmp_path: Path, private_cache: Path) -> None:
    with pytest.raises(DataError, match="birds"):
        require_data(run(tmp_path), cache=private_cache)
    glyphs = RunConfig(backbone=Conv4(weights=str(tmp_path / "none.pth"), weights_revision="1"))
    with pytest.raises(DataError, match=r"none\.pth"):
        require_data(glyphs, cache=private_cache)


def test_a_fingerprint_tells_names_and_contents_of_code(tmp_path: Path) -> None:
    found = set()
    for name, text in (("a.py", "x = 1"), ("a.py", "x = 2"), ("b.py", "x = 2")):
        folder = tmp_path / str(len(found)) / "package"
        folder.mkdir(parents=True)
        (folder / name).write_text(text)
        (folder / "notes.txt").write_text(str(len(found)))
        found.add(code_fingerprint([folder]))
    assert len(found) == 3
