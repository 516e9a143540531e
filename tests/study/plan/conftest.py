"""Plans of specs written on the fly, without looking at any data."""

from collections.abc import Callable
from pathlib import Path

import pytest

from study.plan import Plan, build_plan
from study.spec import load_spec

MakePlan = Callable[..., Plan]


@pytest.fixture
def make_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakePlan:
    """Writes `spec.yaml` into the working directory of the test and plans it."""
    monkeypatch.chdir(tmp_path)

    def make(text: str, *overrides: str, plugins: tuple[Path, ...] = ()) -> Plan:
        Path("spec.yaml").write_text(text, encoding="utf-8")
        return build_plan(load_spec("spec.yaml", overrides=overrides, plugins=plugins), resolve_data=False)

    return make
