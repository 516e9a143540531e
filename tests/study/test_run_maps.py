"""Maps of what a run kept: classes with what the synthesis adds to them, and past steps by their age."""

from pathlib import Path

import pytest

from study.plan import build_plan
from study.run_pictures import picture
from study.spec import load_spec
from trainables.errors import DataError
from trainables.ledger import Ledger
from trainables.training.session import Session, SessionOptions

SPEC = """
study: maps
extends: fast_cpu
methods:
  plain: {loss: norm_softmax}
  memvir: {loss: norm_softmax, synthesis: {name: memvir, steps: 2, gap: 0}}
replicates: {seeds: 1}
keep: {weights: selected}
settings:
  dataset: {name: glyphs, classes: 24, images_per_class: 6, image_size: 16}
  backbone: {name: conv4, width: 4}
  embedding_dim: 8
  training: {epochs: 2, batch_size: 16}
"""


def texts(ledger: Ledger, run_id: str, kind: str, cache: Path) -> list[str]:
    figure = picture(ledger, run_id, kind, projection="pca", cache=cache)
    return [text.get_text() for text in figure.axes[0].figure.legends[0].get_texts()]


def test_a_map_shows_virtual_classes_and_a_map_of_steps_their_ages(tmp_path: Path, private_cache: Path) -> None:
    file = tmp_path / "maps.yaml"
    file.write_text(SPEC)
    plan = build_plan(load_spec(file), cache=private_cache)
    ledger = Ledger.open(tmp_path / "results", create=True)
    runs = {}
    for run_id, planned in plan.runs.items():
        if planned.config.strategy.trains:
            runs[planned.config.synthesis.name] = run_id
            session = Session(planned.config, ledger=ledger, options=SessionOptions(study="maps", cache=private_cache))
            while not session.done:
                session.step()
    groups = ["seen", "unseen", "proxies of seen", "virtual", "virtual proxies"]
    assert texts(ledger, runs["memvir"], "map", private_cache)[:5] == groups
    assert "virtual" not in texts(ledger, runs["none"], "map", private_cache)
    steps = texts(ledger, runs["memvir"], "steps", private_cache)
    assert steps == ["embeddings", "proxies", "now", "1 step ago", "2 steps ago"]
    with pytest.raises(DataError, match=r"synthesis 'none'.* kept no past steps: a run of 'memvir'"):
        picture(ledger, runs["none"], "steps", projection="pca", cache=private_cache)
