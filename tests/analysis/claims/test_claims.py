"""Claims: what is compared, how it is tested, and what is said about it."""

import json
import math
from typing import Any

import pytest
from scipy import stats as scipy_stats
from study_in_memory import Study, merged

from analysis.claims import ClaimReport, check_claims, claim_stars, render_claims, stars
from trainables.errors import DmlStudyError

BASE = [0.500, 0.512, 0.495, 0.507, 0.503, 0.498, 0.511, 0.506]
GAIN = [0.013, 0.010, 0.012, 0.015, 0.009, 0.011, 0.014, 0.012]
NOISE = [0.004, -0.003, 0.005, -0.005, 0.006, 0.003, -0.004, 0.001]


def plus(*changes: list[float]) -> list[float]:
    return [sum(parts) for parts in zip(BASE, *changes, strict=True)]


def claimed_study(n: int = 8) -> Study:
    """A gain that is real, a method that is nothing but noise, and a loss."""
    study = Study(seeds=range(n))
    base = study.add("base", BASE[:n])
    study.add("PS", plus(GAIN)[:n], baseline=base)
    study.add("noise", plus(NOISE)[:n], baseline=base)
    study.add("worse", plus([-gain for gain in GAIN])[:n], baseline=base)
    for name in ("PS", "noise", "worse"):
        study.claim(name, "base")
    return study


def only(report: ClaimReport) -> Any:
    (found,) = report.comparisons
    return found


def test_claims_are_paired_tests_corrected_after_holm() -> None:
    report = check_claims(claimed_study().results())
    assert [each.verdict for each in report.comparisons] == ["better", "open", "worse"]
    p_values = [scipy_stats.ttest_rel(plus(change), BASE).pvalue for change in (GAIN, NOISE, [-g for g in GAIN])]
    assert [each.comparison.p_value for each in report.comparisons] == pytest.approx(p_values)
    assert report.comparisons[0].p_holm == pytest.approx(3 * p_values[0])
    assert report.comparisons[1].p_holm == pytest.approx(p_values[1])
    assert [stars(each) for each in report.comparisons] == ["***", "", "***"]


def test_markdown_shows_names_as_they_are() -> None:
    study = Study(seeds=range(3))
    base = study.add("[x] *y*", [0.5, 0.51, 0.52])
    study.add("a_b \\ <b>", [0.5, None, None], baseline=base)
    study.claim("a_b \\ <b>", "[x] *y*")
    text = render_claims(check_claims(study.results()), "markdown")
    assert text.startswith("- a_b \\\\ \\<b\\> against \\[x\\] \\*y\\* in MAP@R (glyphs)")
    assert "  - Careful: a_b \\\\ \\<b\\>: of 3 runs 2 not finished" in text
    study.claims.clear()
    assert "Write `claims:` into the spec" in render_claims(check_claims(study.results()), "markdown")


def test_sentences_in_plain_words() -> None:
    first, second, third = (each.sentence for each in check_claims(claimed_study().results()).comparisons)
    assert first == (
        "PS improves MAP@R over base by 1.20 points (glyphs), 95 % interval 1.03 to 1.37, 8 paired seeds, "
        "p = 0.0001 at most after Holm."
    )
    assert second.startswith(
        "noise cannot be told from base in MAP@R (glyphs): difference +0.09 points, 95 % interval −0.27 to 0.45, "
        "8 paired seeds, p = 0.58 after Holm; if the true difference is this large, "
    )
    assert third.startswith("worse is worse than base in MAP@R by 1.20 points (glyphs), 95 % interval 1.03 to 1.37, ")


def test_more_seeds_are_counted_at_the_level_that_holm_leaves() -> None:
    alone, beside = claimed_study(), claimed_study()
    alone.claims = alone.claims[1:2]
    beside.claim("worse", "noise", "recall_at_1")
    beside.claim("PS", "base", "recall_at_1")
    few = only(check_claims(alone.results()))
    assert few.more_seeds == few.seeds_needed - 8 > 0
    text = f"{few.more_seeds} more seeds ({few.seeds_needed} in all) would show it in four of five studies."
    assert few.sentence.endswith(text)
    assert check_claims(beside.results()).comparisons[1].seeds_needed == few.seeds_needed  # all others are rejected
    beside.claim("noise", "base", "recall_at_1")
    assert check_claims(beside.results()).comparisons[1].seeds_needed > few.seeds_needed


def test_every_place_of_a_claim_is_compared_with_its_like() -> None:
    study = Study(axes=["dataset", "synthesis.ratio"], seeds=range(3))
    for dataset in ("glyphs", "shapes"):
        base = study.add("base", [0.5, 0.51, 0.52], dataset=dataset)
        for ratio in (0.5, 1.0):
            study.add("PS", [0.5 + ratio, 0.52, 0.56], baseline=base, dataset=dataset, synthesis__ratio=ratio)
    study.claim("PS", "base")
    report = check_claims(study.results())
    places = ["glyphs, ratio 0.5", "glyphs, ratio 1.0", "shapes, ratio 0.5", "shapes, ratio 1.0"]
    assert [each.place for each in report.comparisons] == places
    assert [each.worse.dataset for each in report.comparisons] == ["glyphs", "glyphs", "shapes", "shapes"]
    assert report.family == 4


def test_one_setting_per_method_is_compared_where_validation_chose_it() -> None:
    study = Study(axes=["dataset", "synthesis.ratio"], seeds=range(3))
    base = study.add("base", {"test_map_at_r": [0.5, 0.51, 0.52], "val_map_at_r": [0.4] * 3})
    for ratio, value in ((0.5, 0.41), (1.0, 0.45)):
        values = {"test_map_at_r": [0.5, 0.52, 0.56], "val_map_at_r": [value] * 3}
        study.add("PS", values, baseline=base, synthesis__ratio=ratio)
    study.claim("PS", "base")
    assert only(check_claims(study.results(), best="val_map_at_r")).place == "glyphs, ratio 1.0"


def test_without_claims_cells_are_compared_with_baselines_and_get_no_stars() -> None:
    study = claimed_study()
    study.claims = []
    report = check_claims(study.results())
    assert [each.claim.better for each in report.comparisons] == ["PS", "noise", "worse"]
    assert "Exploration" in report.notes[0]
    assert not any(map(stars, report.comparisons))
    assert claim_stars(study.results()).marks == {}


def test_claims_that_were_asked_for_afterwards_get_no_stars() -> None:
    study = claimed_study()
    report = check_claims(study.results(), claims=["PS > worse on recall_at_1", "PS > base on map_at_r"])
    assert [(each.verdict, stars(each)) for each in report.comparisons] == [("better", ""), ("better", "***")]
    assert "stated after the results were there" in report.notes[0]


@pytest.mark.parametrize(
    ("claim", "message"),
    [
        ("PS beats base", "should read 'A > B on map_at_r'"),
        ("PSS > base on map_at_r", "unknown method 'PSS'; did you mean 'PS'"),
        ("PS > base on map_r", "metric 'map_r' .* did you mean 'map_at_r'"),
    ],
)
def test_claims_that_mean_nothing_are_refused(claim: str, message: str) -> None:
    with pytest.raises(DmlStudyError, match=message):
        check_claims(claimed_study().results(), claims=[claim])


def test_claims_of_several_studies_are_one_family() -> None:
    other = claimed_study()
    other.name = "other"
    report = check_claims(merged(claimed_study(), other))
    assert report.family == 6
    assert "other: PS improves" in render_claims(report)


def test_stars_for_tables_read_no_classes_and_stand_in_both_directions() -> None:
    study = claimed_study()
    results = study.results()
    found = claim_stars(results)
    assert found.of(("made-up", 1), ("made-up", 0), "test_map_at_r") == "***"
    assert found.of(("made-up", 0), ("made-up", 1), "test_map_at_r") == "***"
    assert found.of(("made-up", 2), ("made-up", 0), "test_map_at_r") == ""
    assert found.of(("made-up", 1), None, "test_map_at_r") == ""
    assert "*** p < 0.001 (two-sided t-tests, Holm over 3 comparisons)" in found.note
    ledger: Any = results.sources[0].ledger
    assert ledger.reads == ["runs"]


@pytest.mark.parametrize(("verdict", "star"), [("better", "*"), ("open", ""), ("equal", "")])
def test_a_claim_that_decided_its_seeds_is_judged_by_its_last_look(verdict: str, star: str) -> None:
    study = claimed_study(n=5)
    study.claims = study.claims[:1]
    look = {"seeds": 5, "n": 5, "level": 0.0043, "p_value": 0.001, "verdict": verdict}
    record = {"better": "PS", "worse": "base", "metric": "map_at_r", "cells": [1, 0], "looks": [look]}
    rule = {"alpha": 0.05, "spending": "pocock", "negligible": None, "looks": [5]}
    study.more = {"settling": {**rule, "comparisons": [record]}}
    report = check_claims(study.results())
    found = only(report)
    assert (found.verdict, stars(found), report.family) == (verdict, star, 0)
    assert math.isnan(found.p_holm)
    assert "p = 0.001 at level 0.0043 of the look after 5 seeds" in found.sentence
    assert "Seeds were added until claims were settled" in report.notes[0]


def test_less_is_better_where_a_metric_is_a_distance() -> None:
    study = Study(seeds=range(8))
    study.add("base", {"test_label_distance_at_10": [20 + 100 * value for value in BASE]})
    study.add("close", {"test_label_distance_at_10": [19 + 100 * value for value in plus(NOISE)]}, baseline=0)
    study.claim("close", "base", "label_distance_at_10")
    found = only(check_claims(study.results()))
    assert found.verdict == "better"
    assert found.sentence.startswith(
        "close improves Label distance@10 over base by 0.91 (glyphs), 95 % interval 0.55 to 1.27"
    )


def test_equal_is_said_where_the_interval_is_negligible() -> None:
    study = claimed_study()
    study.claims = study.claims[1:2]
    assert only(check_claims(study.results(), negligible=0.5)).verdict == "equal"
    assert only(check_claims(study.results(), negligible=0.4)).verdict == "open"


def test_frame_and_json_have_the_numbers_and_nothing_that_json_lacks() -> None:
    study = claimed_study()
    study.add("absent", [None] * 8, baseline=0)
    study.claim("absent", "base")
    report = check_claims(study.results())
    assert report.frame["verdict"].tolist() == ["better", "open", "worse", "missing"]
    assert report.frame.loc[0, "difference"] == pytest.approx(1.2)
    content = json.loads(render_claims(report, "json"))
    assert content["comparisons"][3]["difference"] is None
    assert content["comparisons"][0]["p_counted"] == pytest.approx(report.comparisons[0].p_holm)
    assert render_claims(report, "csv").count("\n") == 5
    assert render_claims(report, "markdown").startswith("- PS improves")
