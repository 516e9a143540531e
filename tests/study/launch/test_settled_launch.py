"""A study that trains seeds until its claims are settled, on Ray, killed between two looks."""

from collections import Counter

import pytest
from launched import Study, ended, wait_for
from typer.testing import CliRunner

import analysis
from analysis.tables import comparison_table
from study.cli.app import app
from trainables.ledger import Ledger

SPEC = """
study: s
extends: fast_cpu
untrained: false
methods:
  wide: {loss: norm_softmax}
  narrow: {loss: norm_softmax, settings: {embedding_dim: 2}}
  twin: {loss: norm_softmax, settings: {optimizer.lr: 0.00101}}
datasets:
  shapes: {name: glyphs, classes: 24, images_per_class: 8, image_size: 16}
claims: [wide > narrow on map_at_r, twin > wide on map_at_r]
compare: {dataset: [shapes]}
replicates: {seeds: 9, until_settled: {first: 4, every: 3}}
settings: {backbone: {name: conv4, width: 8}, embedding_dim: 16, training.epochs: 2, training.batch_size: 32}
"""


def by_method(study: Study) -> dict[str, int]:
    plan = Ledger.open(study.results).read_plan()
    return {cell["method"]: len(cell["replicates"]) for cell in plan["cells"]}


@pytest.mark.slow
def test_seeds_are_trained_until_claims_are_settled(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    study.write(SPEC)
    _, refused = ended(study.command("run", "s.yaml", "--shard", "1/2"), code=2)
    assert "with `replicates.until_settled` one driver decides" in refused
    process = study.command("run", "s.yaml")
    wait_for(lambda: len(study.commits()) > 3 * 4, "the second round", process=process)
    process.kill()
    process.communicate()
    study.kill_all()
    assert (study.results / "settling.json").is_file()

    output, _ = ended(study.command("run", "s.yaml"), code=0)
    assert by_method(study) == {"wide": 9, "narrow": 4, "twin": 9}
    assert len(study.commits()) == 9 + 4 + 9
    assert (
        "22 of 22 runs complete" in output and "claims: 1 of 2 settled; 5 runs of further seeds not trained" in output
    )
    looks = [each["looks"] for each in Ledger.open(study.results).read_plan()["settling"]["comparisons"]]
    assert [[look["seeds"] for look in made] for made in looks] == [[4], [4, 7, 9]]
    assert [made[-1]["verdict"] for made in looks] == ["better", "open"]

    monkeypatch.chdir(study.folder)
    shown = CliRunner().invoke(app, ["status", "s"]).output
    assert "wide > narrow on map_at_r (dataset=shapes): settled as better after 4 seeds" in shown
    notes = " ".join(comparison_table(analysis.load(study.results)).footnotes)
    assert "Seeds were added until claims were settled: paired t-tests after 4, 7, 9 seeds, 5 % error" in notes

    again, _ = ended(study.command("run", "s.yaml"), code=0)
    assert "0 trained now" in again
    once, _ = ended(study.command("run", "s.yaml", "--policy", "always", "--only", "method=narrow"), code=0)
    assert "4 trained now" in once
    assert Counter(status for _, _, status in (name.split(".")[:3] for name in study.commits())) == {"complete": 22}
