"""Commands on results that have an address instead of a folder."""

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import analysis
from study.wording import relative, results_argument
from trainables.errors import DmlStudyError
from trainables.ledger import Ledger
from trainables.ledger.object_store import ObjectStore
from trainables.ledger.store import LocalStore


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    path = Path(__file__).parents[2] / "trainables" / "ledger" / "s3_server.py"
    spec = importlib.util.spec_from_file_location("s3_server", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name, value in module.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    with module.S3Server("bucket") as server:
        yield server


@pytest.fixture
def address(server: Any, trained: Path) -> str:
    """The trained study, moved to the object store."""
    place: str = server.uri("bucket/results/tiny")
    remote, local = ObjectStore(place), LocalStore(trained)
    for key in local.list(""):
        remote.put(key, local.get(key))
        local.delete(key)
    return place


def test_every_command_that_reads(dml_study: Callable[..., Any], address: str, tmp_path: Path) -> None:
    run_id = next(iter(Ledger.open(address).commits()))
    command = f"`dml-study table '{address}'`"
    for arguments, shown in (
        (["status", address], [f"tiny in {address}: ", command]),
        (["status", "--results", address], [f"tiny in {address}: "]),
        (["show", run_id[:8], "--results", address], [f"in {address}"]),
        (["table", address], ["norm-softmax"]),
        (["plot", address, "--kind", "curves", "-m", "train_loss"], ["wrote plots/tiny/curves-train_loss"]),
        (["report", address], ["wrote report/tiny.html"]),
        (["plan", "tiny.yaml", "--results", address], [f"{address}: ", " complete"]),
        (["doctor", "--results", address], ["can be written, read and deleted from"]),
    ):
        outcome = dml_study(*arguments)
        assert all(text in outcome.out for text in shown), f"{arguments}: {outcome}"
    assert list((tmp_path / "plots" / "tiny").glob("curves-train_loss.*"))
    assert len(analysis.load(address).runs) == len(Ledger.open(address).commits())
    with pytest.raises(DmlStudyError, match="given twice"):
        analysis.load([address, f"{address}"])


def test_runs_and_results_that_are_not_there(dml_study: Callable[..., Any], address: str, server: Any) -> None:
    absent = dml_study("status", server.uri("bucket/results/absent"))
    assert absent.code == 2 and "there is no results folder s3://bucket/results/absent" in absent.err
    assert "begins with 'ffffffffffffffff'" in dml_study("show", "ffffffffffffffff", "--results", address).err


def test_an_address_is_shown_as_it_is() -> None:
    assert relative("s3://bucket/results/s") == "s3://bucket/results/s"
    assert results_argument("s3://bucket/s?scheme=http&region=r") == "'s3://bucket/s?scheme=http&region=r'"
    assert results_argument(Path.cwd() / "results" / "s") == "results/s"
