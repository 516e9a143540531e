"""torchvision imports wherever `trainables` was imported first, and costs nothing until then."""

import importlib.machinery
import subprocess
import sys

import pytest

from trainables import _torchvision_hook


def finders() -> list[object]:
    return [finder for finder in sys.meta_path if isinstance(finder, _torchvision_hook._Finder)]


def test_torchvision_imports_after_trainables_in_a_fresh_process() -> None:
    code = (
        "import sys, trainables\n"
        "print(sorted({'torch', 'torchvision'} & set(sys.modules)))\n"
        "import torchvision\n"
        "from torchvision.models import resnet18\n"
        "import torch\n"
        "print(tuple(resnet18(weights=None).eval()(torch.zeros(1, 3, 32, 32)).shape))\n"
        "print(any(type(finder).__name__ == '_Finder' for finder in sys.meta_path))\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines() == ["[]", "(1, 1000)", "False"]


def test_it_is_installed_once_and_not_where_torchvision_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "meta_path", [finder for finder in sys.meta_path if finder not in finders()])
    monkeypatch.setitem(sys.modules, "torchvision", sys)
    _torchvision_hook.install()
    assert finders() == []
    monkeypatch.delitem(sys.modules, "torchvision")
    _torchvision_hook.install()
    _torchvision_hook.install()
    assert len(finders()) == 1
    assert sys.meta_path[0] is finders()[0]


def test_other_modules_are_left_to_others_and_an_absent_torchvision_stays_absent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    finder = _torchvision_hook._Finder()
    monkeypatch.setattr(sys, "meta_path", [finder, *sys.meta_path])
    assert finder.find_spec("json", None) is None
    assert finder in sys.meta_path
    monkeypatch.setattr(importlib.machinery.PathFinder, "find_spec", lambda *arguments: None)
    monkeypatch.setattr(_torchvision_hook, "_define_missing_operators", lambda package: pytest.fail("no package"))
    assert finder.find_spec("torchvision", None) is None
    assert finder not in sys.meta_path
