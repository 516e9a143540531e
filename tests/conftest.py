"""Fixtures that every test may use."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from trainables.ledger import Ledger

ROOT = Path(__file__).resolve().parents[1]
SMALL_DEMO = (
    "settings.training.epochs=1",
    "settings.dataset={name: glyphs, classes: 24, images_per_class: 6, image_size: 16}",
    "settings.backbone={name: conv4, width: 4}",
    "replicates.seeds=1",
)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with real images and ImageNet weights: $DML_STUDY_DATA, or `../shared/data` beside the checkout."""
    folder = Path(os.environ.get("DML_STUDY_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real images: {folder} does not exist; set DML_STUDY_DATA to the folder that holds them")
    return folder


@pytest.fixture(autouse=True)
def private_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Caches of decoded images live in one folder per test session, never in the user's."""
    folder = tmp_path_factory.getbasetemp() / "cache"
    folder.mkdir(exist_ok=True)
    monkeypatch.setenv("DML_STUDY_CACHE", str(folder))
    return folder


@pytest.fixture
def train_demo(private_cache: Path) -> "Callable[..., Ledger]":
    """Trains one run of a small demo study into a folder, without Ray; further arguments are settings."""

    def train(results: Path, *overrides: str) -> "Ledger":
        from study.plan import build_plan
        from study.spec import load_spec
        from trainables.ledger import Ledger
        from trainables.training.session import Session, SessionOptions

        spec = load_spec(ROOT / "study/studies/demo.yaml", overrides=[*SMALL_DEMO, *overrides])
        plan = build_plan(spec, cache=private_cache)
        run = next(each.config for each in plan.runs.values() if each.config.strategy.trains)
        ledger = Ledger.open(results, create=True)
        ledger.write_plan(plan.record())
        session = Session(run, ledger=ledger, options=SessionOptions(study="demo", cache=private_cache))
        while not session.done:
            session.step()
        return ledger

    return train
