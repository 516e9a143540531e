"""Which seeds a plan has, while claims settle."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from study.plan import Plan
from study.search import SearchHistory
from study.settling import LedgerEvidence, forget_looks
from study.settling.looks import Look
from study.spec import SpecError
from trainables.errors import LedgerError
from trainables.ledger import Ledger

Make = Callable[..., Any]

SPEC = """\
study: s
methods:
  norm: {loss: norm_softmax}
  ps: {extends: norm, synthesis: proxy_synthesis, baseline: norm}
  anchor: {loss: proxy_anchor, baseline: norm}
  cosface: {loss: cosface}
untrained: false
claims: ["ps > norm on map_at_r", "anchor > norm on map_at_r"]
replicates: {seeds: 12, folds: 2, until_settled: {first: 3, every: 3}}
"""


def seeds(plan: Plan) -> dict[str, int]:
    """Number of seeds of every method, each on all folds."""
    counts = {}
    for cell in plan.cells:
        by_seed = Counter(replicate.seed for replicate in cell.replicates)
        assert set(by_seed.values()) == {2}
        assert sorted(by_seed) == list(range(len(by_seed)))
        counts[cell.method] = len(by_seed)
    return counts


def test_a_settled_claim_ends_its_method_and_an_open_one_goes_on(make_plan: Make, make_toy: Make, noise: Make) -> None:
    """ps is far better, anchor cannot be told from norm: norm goes on with anchor."""
    plan = make_plan(SPEC)
    assert seeds(plan) == {"norm": 3, "ps": 3, "anchor": 3, "cosface": 12}
    toy = make_toy(lambda method, seed, fold: 0.5 + 0.1 * (method == "ps") + noise(method, seed))
    once = toy.end_all(plan)
    assert seeds(once) == {"norm": 6, "ps": 3, "anchor": 6, "cosface": 12}
    done, rounds = toy.finish(plan)
    assert seeds(done) == {"norm": 12, "ps": 3, "anchor": 12, "cosface": 12}
    assert rounds == 4
    assert set(done.runs) == {each.run_id for cell in done.cells for each in cell.replicates}
    assert len(done.settling.spared) == 9 * 2
    better, open_one = done.settling.standings
    assert [look.seeds for look in better.made] == [3]
    assert (better.settled, better.made[0].verdict, better.made[0].n) == (True, "better", 3)
    assert [look.seeds for look in open_one.made] == [3, 6, 9, 12]
    assert (open_one.settled, {look.verdict for look in open_one.made}) == (False, {"open"})


def test_nothing_is_tested_before_every_run_of_a_look_has_ended(make_plan: Make, make_toy: Make) -> None:
    plan, toy = make_plan(SPEC), make_toy(lambda method, seed, fold: 0.1 * len(method) + 0.01 * seed + 0.001 * fold)
    toy.end_all(plan)
    late = plan.cells[1].replicates[5].run_id
    value = toy.values.pop(late)
    toy.on_record.clear()
    waiting = toy.look(plan)
    assert [len(standing.made) for standing in waiting.settling.standings] == [0, 1]
    assert seeds(waiting)["ps"] == 3
    toy.values[late] = value
    assert len(toy.look(plan).settling.standings[0].made) == 1


def test_failed_runs_leave_their_seed_out(make_plan: Make, make_toy: Make, noise: Make) -> None:
    def value(method: str, seed: int, fold: int) -> float:
        failed = method == "ps" and (seed, fold) == (1, 1)
        return float("nan") if failed else 0.5 + 0.2 * (method == "ps") + noise(method, seed)

    toy = make_toy(value)
    plan = toy.end_all(make_plan(SPEC))
    assert plan.settling.standings[0].made[0].n == 2


def test_an_extended_plan_spends_only_what_is_left(make_plan: Make, make_toy: Make, noise: Make) -> None:
    toy = make_toy(lambda method, seed, fold: 0.5 + noise(method, seed))
    toy.finish(make_plan(SPEC))
    longer, _ = toy.finish(make_plan(SPEC.replace("seeds: 12", "seeds: 18")))
    for standing in longer.settling.standings:
        assert [look.seeds for look in standing.made] == [3, 6, 9, 12, 15, 18]
        assert sum(look.level for look in standing.made) == pytest.approx(0.025)


def test_a_look_on_record_counts_whatever_is_known_later(make_plan: Make, make_toy: Make, noise: Make) -> None:
    toy = make_toy(lambda method, seed, fold: 0.5 + 0.1 * (method == "ps") + noise(method, seed))
    before = toy.end_all(make_plan(SPEC)).settling.standings[0]
    toy.values = dict.fromkeys(toy.values, 0.5)
    assert toy.look(make_plan(SPEC)).settling.standings[0] == before
    toy.on_record.clear()
    assert toy.look(make_plan(SPEC)).settling.standings[0].made[0].verdict == "open"


def test_a_claim_is_tested_in_every_place_that_both_methods_have(make_plan: Make, make_toy: Make) -> None:
    plan = make_plan(SPEC + "compare: {synthesis.ratio: [0.5, 1.0], training.epochs: [1, 2]}\n")
    pairs = [standing.comparison for standing in plan.settling.standings]
    assert Counter(pair.claim.better for pair in pairs) == {"ps": 4, "anchor": 2}
    for pair in pairs:
        better, worse = plan.cells[pair.better], plan.cells[pair.worse]
        assert better.axes["training.epochs"] == worse.axes["training.epochs"]
        assert (better.method, worse.method) == (pair.claim.better, pair.claim.worse)


def test_what_a_trained_student_needs_is_trained_too(make_plan: Make, make_toy: Make) -> None:
    text = SPEC.replace("folds: 2, ", "") + ""
    text = text.replace(
        "  cosface: {loss: cosface}",
        "  student: {strategy: {name: transfer, loss: relaxed_contrastive, teacher: {method: ps, seed: same}}}",
    )
    plan = make_plan(text)
    by_method = {cell.method: [each.seed for each in cell.replicates] for cell in plan.cells}
    assert by_method["student"] == by_method["ps"] == list(range(12))
    assert by_method["anchor"] == [0, 1, 2]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("first: 3", "first: 12", "looks after 12 seeds first, and there are 12"),
        ("first: 3", "first: 1", "greater than or equal to 2"),
        ("first: 3", "frist: 3", "unknown key 'frist'"),
        ("first: 3", "spending: pococ", "pocock"),
        ('claims: ["ps > norm on map_at_r", "anchor > norm on map_at_r"]\n', "", "needs claims to settle"),
        ("untrained: false", "protocol: {test: never}", "protocol.test is never"),
    ],
)
def test_what_cannot_be(make_plan: Make, old: str, new: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        make_plan(SPEC.replace(old, new))


LOOK = Look(3, 3, 0.01, 0.1, 0.05, 0.15, 0.001, "better")


def test_looks_are_kept_in_the_results_folder(tmp_path: Path) -> None:
    ledger = Ledger.open(tmp_path / "r", create=True)
    evidence = LedgerEvidence(ledger)
    evidence.note("abc", LOOK)
    assert LedgerEvidence(ledger).looks("abc") == ()  # a command that only looks writes nothing
    evidence.save()
    assert LedgerEvidence(ledger).looks("abc") == (LOOK,)
    assert SearchHistory(ledger).evidence.looks("other") == ()
    forget_looks(ledger)
    forget_looks(ledger)
    assert LedgerEvidence(ledger).looks("abc") == ()


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"abc": [{"seeds": 3}]}'])
def test_a_damaged_record_is_told(tmp_path: Path, content: bytes) -> None:
    ledger = Ledger.open(tmp_path / "r", create=True)
    ledger.put("settling.json", content)
    with pytest.raises(LedgerError, match=r"settling\.json is damaged .* delete it to have the claims tested again"):
        LedgerEvidence(ledger).looks("abc")
