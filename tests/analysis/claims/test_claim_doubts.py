"""What a report of claims warns of, and what it says where there is little to say."""

import math
from dataclasses import replace
from typing import Any

import pytest
from study_in_memory import Study

from analysis.claims import check_claims, render_claims, stars
from analysis.claims.doubts import _rank_test

BASE = [0.500, 0.512, 0.495, 0.507, 0.503, 0.498, 0.511, 0.506]
BETTER = [0.513, 0.522, 0.507, 0.522, 0.512, 0.509, 0.525, 0.518]


def one(study: Study) -> Any:
    if not study.claims:
        study.claim("PS", "base")
    (found,) = check_claims(study.results()).comparisons
    return found


def two_cells(base: Any, better: Any, **more: Any) -> Study:
    count = max(len(base), len(better))
    study = Study(seeds=range(count))
    study.add("base", base)
    study.add("PS", better, baseline=0, **more)
    return study


def doubts(study: Study) -> str:
    return " | ".join(one(study).doubts)


def test_eight_paired_seeds_leave_no_doubt() -> None:
    assert one(two_cells(BASE, BETTER)).doubts == ()


def test_one_seed_decides_nothing() -> None:
    found = one(two_cells(BASE[:1], BETTER[:1]))
    assert (found.verdict, stars(found)) == ("untested", "")
    assert (
        found.sentence == "PS against base in MAP@R (glyphs): difference +1.30 points; one seed, which decides nothing."
    )
    assert found.doubts == ("one seed cannot tell the method from its luck",)


def test_nothing_is_known_of_what_has_not_run() -> None:
    found = one(two_cells(BASE[:3], [None] * 3))
    assert (found.verdict, math.isnan(found.comparison.difference)) == ("missing", True)
    assert found.sentence == "PS against base in MAP@R (glyphs): no value of PS yet."
    assert found.doubts == ("PS: of 3 runs 3 not finished",)


@pytest.mark.parametrize(("n", "least"), [(3, "0.25"), (5, "0.0625")])
def test_few_seeds_name_the_smallest_p_of_a_rank_test(n: int, least: str) -> None:
    text = doubts(two_cells(BASE[:n], BETTER[:n]))
    assert f"with {n} a paired rank test cannot go below p = {least};" in text


def test_holm_makes_more_seeds_few() -> None:
    study = two_cells(BASE[:6], BETTER[:6])
    assert one(study).doubts == ()
    study.claim("PS", "base", "recall_at_1")
    first = check_claims(study.results()).comparisons[0]
    assert "with 6 a paired rank test cannot go below p = 0.0312, 0.0625 after Holm;" in first.doubts[0]


def test_failed_runs_are_counted_and_unequal_seeds_are_not_paired() -> None:
    found = one(two_cells(BASE, BETTER, status={2: "failed"}))
    assert found.doubts == (
        "PS: of 8 runs 1 failed",
        "the seeds of the two methods differ: Welch's test, without the precision that pairs have",
    )
    assert "7 and 8 unpaired seeds" in found.sentence
    assert math.isnan(found.wilcoxon)


def test_values_that_are_not_finite_are_told_apart() -> None:
    assert "PS: of 8 runs 1 complete without a finite value" in doubts(two_cells(BASE, [math.nan, *BETTER[1:]]))


def test_folds_are_not_replicates() -> None:
    study = Study(seeds=(0,), folds=4)
    study.add("base", BASE[:4])
    study.add("PS", BETTER[:4], baseline=0)
    found = one(study)
    assert (found.verdict, found.comparison.n) == ("untested", 1)
    assert "the 4 folds of a seed share training data: they are averaged, and n counts seeds" in found.doubts


def test_a_difference_without_spread_is_not_tested() -> None:
    found = one(two_cells(BASE, [value + 0.25 for value in BASE]))
    assert (found.verdict, stars(found), math.isnan(found.p_holm)) == ("untested", "", True)
    assert "difference +25.00 points; without a spread to test it against." in found.sentence
    assert found.doubts == ("the difference is the same on every seed, so that nothing tells how sure it is",)


def test_the_same_numbers_are_called_so() -> None:
    found = one(two_cells(BASE, BASE))
    assert found.verdict == "same"
    assert found.sentence == "PS and base have the same MAP@R on all 8 seeds (glyphs)."


def test_mixed_devices_are_told() -> None:
    study = two_cells(BASE, BETTER, settings={"device_name": "H200"})
    for row in list(study.runs.values())[:8]:
        row["device_name"] = "Xeon"
    assert "different types of devices" in doubts(study)


def test_epochs_selected_on_test_are_told() -> None:
    study = Study(seeds=range(8))
    study.add("base", {"best_test_map_at_r": BASE})
    study.add("PS", {"best_test_map_at_r": BETTER}, baseline=0)
    (found,) = check_claims(study.results(), metrics=["best_test_map_at_r"]).comparisons
    assert found.doubts == ("epochs were selected on test classes",)


def test_a_rank_test_that_does_not_confirm_is_told() -> None:
    """Six seeds gain the same, one loses the most: the losses weigh more in ranks than in the mean."""
    gains = [0.010, 0.010, 0.011, 0.011, 0.012, 0.012, -0.00005, 0.009]
    found = one(two_cells(BASE, [base + gain for base, gain in zip(BASE, gains, strict=True)]))
    assert (found.verdict, found.doubts) == ("better", ())
    told = replace(found, wilcoxon=0.0781)
    assert _rank_test(told) == "Wilcoxon's signed-rank test does not confirm it (p = 0.078)"
    assert _rank_test(replace(told, verdict="open")) == ""


def test_test_classes_that_could_turn_it_are_told() -> None:
    """Every seed says better, but only because of two of ten classes."""
    study = Study(seeds=range(8))
    classes = [[base] * 10 for base in BASE]
    gained = [[base + 0.1, base + 0.1, *[base - 0.008 + index / 5000] * 8] for index, base in enumerate(BASE)]
    for index, values in enumerate((classes, gained)):
        means = [sum(row) / 10 for row in values]
        study.add(["base", "PS"][index], {"test_map_at_r": means}, baseline=0 if index else None)
        study.add_classes(index, values, [5] * 10)
    found = one(study)
    assert found.verdict == "better"
    assert found.classes.n == 10
    assert found.classes.low < 0 < found.both.low + 10
    assert found.both.low < found.classes.low
    assert found.doubts == ("the interval over test classes includes 0: with other test classes it may not hold",)
    assert "over test classes), 8 paired seeds" in found.sentence


def test_what_holds_for_all_comparisons_is_said_once() -> None:
    study = two_cells(BASE[:3], BETTER[:3])
    study.add("noise", BASE[1:4], baseline=0)
    text = render_claims(check_claims(study.results()))
    assert text.count("too few seeds for a test without assumptions") == 1
    assert "All comparisons: too few seeds" in text


def test_names_are_shown_as_they_are() -> None:
    study = Study(seeds=range(8))
    study.add("α_0, 50 % & more", BASE)
    study.add("μ > 1", BETTER, baseline=0)
    study.claim("μ > 1", "α_0, 50 % & more")
    assert one(study).sentence.startswith("μ > 1 improves MAP@R over 'α_0, 50 % & more' by 1.20 points")


def test_a_claim_on_a_metric_that_no_run_has_is_missing() -> None:
    study = two_cells(BASE, BETTER)
    study.claim("PS", "base", "recall_at_32")
    found = one(study)
    assert found.verdict == "missing"
    assert "no run has Recall@32" in found.doubts
