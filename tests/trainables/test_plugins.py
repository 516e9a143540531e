"""`--plugin FILE.py`: a loss of one's own, and files that cannot be plugins."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from trainables.batch import Batch
from trainables.config import RunConfig
from trainables.errors import ConfigError
from trainables.losses import LOSSES
from trainables.losses.module import BaseLoss
from trainables.plugins import load_plugins

LOSS = '''\
from typing import ClassVar, Literal
from trainables.losses import LOSSES, LossConfig

loaded = []
loaded.append(1)

class Dot(LossConfig):
    """Minus the dot product with the own proxy."""
    name: Literal["dot"] = "dot"
    factor: float = 1.0
    proxy_init: str = "normal"
    implementation: ClassVar[str] = "my_dot_loss:dot"

def dot(embeddings, labels, proxies, *, factor):
    return -factor * (embeddings * proxies[labels]).sum(1).mean()

LOSSES["dot"] = Dot
'''


@pytest.fixture
def plugin(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "my_dot_loss.py"
    path.write_text(LOSS)
    yield path
    sys.modules.pop("my_dot_loss", None)
    LOSSES.pop("dot", None)


def test_a_plugin_brings_a_loss_that_a_run_can_name(plugin: Path) -> None:
    assert load_plugins([plugin]) == (plugin,)
    run = RunConfig.model_validate({"loss": {"name": "dot", "factor": 2.0}})
    assert run.run_id() != RunConfig.model_validate({"loss": "dot"}).run_id()
    loss = BaseLoss(run.loss, num_classes=3, embedding_dim=2, seed=0)
    assert loss.proxies is not None
    rows, labels = torch.ones(2, 2), torch.tensor([0, 2])
    expected = -2 * loss.proxies.detach()[labels].sum(1).mean()
    assert float(loss(Batch(rows, labels, loss.classes)).detach()) == pytest.approx(float(expected))


def test_it_is_loaded_once_however_it_is_written(plugin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(plugin.parent)
    load_plugins([plugin, Path(plugin.name)])
    load_plugins([plugin])
    assert sys.modules["my_dot_loss"].loaded == [1]


def test_an_absent_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--plugin .*absent\.py: there is no such file"):
        load_plugins([tmp_path / "absent.py"])


def test_a_name_that_another_module_has(tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("")
    with pytest.raises(ConfigError, match="'json' cannot be a module's name here; rename the file"):
        load_plugins([tmp_path / "json.py"])
    assert sys.modules["json"].dumps


def test_a_file_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "broken_plugin.py"
    path.write_text("import nothing_of_this_name\n")
    with pytest.raises(ConfigError, match="ModuleNotFoundError: No module named 'nothing_of_this_name'"):
        load_plugins([path])
    assert "broken_plugin" not in sys.modules
    path.write_text("mended = True\n")
    load_plugins([path])
    assert sys.modules.pop("broken_plugin").mended
