"""Footnotes that say how cells are told apart."""

import pytest
from study_in_memory import Study

from analysis import comparison_table
from analysis.tables.model import Table


def notes(table: Table) -> str:
    return "\n".join(table.footnotes)


def test_the_smallest_detectable_difference_is_of_trained_methods() -> None:
    # As above; the untrained network, which varies with the seed as none that was trained does, is no part of it.
    made = Study(seeds=(0, 1, 2))
    made.add("untrained", [0.1, 0.4, 0.2])
    made.add("best", [0.55, 0.55, 0.55])
    made.add("second", [0.54, 0.53, 0.52])
    made.add("third", [0.54, 0.52, 0.50])
    assert "glyphs MAP@R 5.16 points" in notes(comparison_table(made.results(), metrics=["map_at_r"]))


@pytest.mark.parametrize(("seeds", "test"), [(range(5), "paired"), (range(10, 15), "Welch where the seeds differ")])
def test_bold_by_the_test_that_the_seeds_allow(seeds: range, test: str) -> None:
    made = Study(seeds=range(5))
    made.add("a", [0.50, 0.51, 0.52, 0.53, 0.54])
    made.seeds = seeds
    made.add("b", [0.50, 0.51, 0.52, 0.53, 0.55])
    table = comparison_table(made.results(), metrics=["map_at_r"])
    assert [row.cells[0].bold for row in table.rows] == [True, True]
    assert f"not significantly worse (two-sided t-test, {test}, 5 %, uncorrected)" in notes(table)
