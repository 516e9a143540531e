"""Several readings of the same fold models in one table: each is compared with its like."""

from typing import Any

import pytest
from study_in_memory import Study

from analysis.tables import Table, comparison_table
from analysis.tables.formats.layout import lay_out

ENSEMBLE: dict[str, Any] = {"strategy": "fold_ensemble", "embedding_dim": 256}


def study() -> Study:
    """Two methods, each read out twice; a joined row is better than any mean."""
    made = Study(axes=["dataset", "readout"], seeds=(0, 1), folds=1)
    made.add("untrained", [0.45] * 2, run_ids=["a" * 16] * 2, settings={"strategy": "untrained"})
    means = made.add("base", both([0.40, 0.42]), readout="mean_64")
    joined = made.add("base", both([0.60, 0.62]), readout="concat_256", settings=ENSEMBLE)
    made.add("better", both([0.50, 0.53]), baseline=means, readout="mean_64")
    made.add("better", both([0.58, 0.60]), baseline=joined, readout="concat_256", settings=ENSEMBLE)
    return made


def both(values: list[float]) -> dict[str, list[float | None]]:
    return {"test_map_at_r": list(values), "val_map_at_r": list(values)}


def rows(table: Table) -> dict[tuple[str, ...], str]:
    method, found = "", {}
    for row in lay_out(table).body:
        method = row[0].text or method
        found[method, row[1].text] = row[3].text
    return found


def test_the_best_is_marked_within_each_reading() -> None:
    table = comparison_table(study().results(), metrics=["map_at_r"])
    bold = {row.labels[:2]: row.cells[0].bold for row in table.rows}
    assert bold == {
        ("untrained", ""): False,  # better than one mean, but not the best of anything
        ("base", "mean_64"): False,
        ("base", "concat_256"): True,
        ("better", "mean_64"): True,
        ("better", "concat_256"): False,
    }
    notes = "\n".join(table.footnotes)
    assert "the best mean of a column among rows of one readout" in notes
    assert "A lone seed" not in notes
    assert "mean_64: their metrics, averaged; concat_256: metrics of their embeddings side by side" in notes
    assert "Network: conv4, embedding dimension 64." in notes  # that of the models, not the joined width


def test_an_untrained_network_that_beats_every_reading_is_marked() -> None:
    made = study()
    for run in made.runs.values():
        if run["strategy"] == "untrained":
            run["test_map_at_r"] = 0.9
    table = comparison_table(made.results(), metrics=["map_at_r"])
    assert [row.cells[0].bold for row in table.rows] == [True, False, False, False, False]


def test_differences_are_to_the_same_reading_of_the_baseline() -> None:
    found = rows(comparison_table(study().results(), metrics=["map_at_r"], deltas=()))
    assert found["better", "mean_64"] == "51.50 ± 2.12"
    table = comparison_table(study().results(), metrics=["map_at_r"])
    deltas = {row.labels[:2]: row.cells[0].delta for row in table.rows if row.labels[0] == "better"}
    assert [round(delta.difference, 6) for delta in deltas.values() if delta] == [10.5, -2.0]


def test_settings_are_chosen_within_each_reading() -> None:
    made = Study(axes=["dataset", "synthesis.ratio", "readout"], seeds=(0, 1))
    for ratio, value in ((0.5, 0.4), (1.0, 0.6)):
        made.add("base", both([value, value]), synthesis__ratio=ratio, readout="mean_64")
        made.add("base", both([value, value]), synthesis__ratio=ratio, readout="concat_256", settings=ENSEMBLE)
    table = comparison_table(made.results(), metrics=["map_at_r"], best="val_map_at_r")
    assert [row.labels for row in table.rows] == [("base", "1.0", "mean_64"), ("base", "1.0", "concat_256")]
    assert "differ between datasets" not in "\n".join(table.footnotes)


def test_the_footnotes_say_how_a_search_chose(monkeypatch: pytest.MonkeyPatch) -> None:
    made = study()
    search = {"sampler": "tpe", "trials": 50, "seeds": [100], "folds": [0, 1, 2, 3], "select_by": "map_at_r"}
    searches = [{**search, "method": method, "chosen": 0, "settings": []} for method in ("base", "better")]
    plan = made.plan()
    monkeypatch.setattr(Study, "plan", lambda self: {**plan, "searches": searches})
    expected = (
        "of 50 settings proposed by TPE the best by mean MAP@R on validation classes (4 runs each), trained anew with "
        "other seeds."
    )
    assert f"Hyperparameters: {expected}" in comparison_table(made.results(), metrics=["map_at_r"]).footnotes
    del searches[0]
    assert f"Hyperparameters of better: {expected}" in comparison_table(made.results(), metrics=["map_at_r"]).footnotes
    searches[0]["scheduler"] = "halving"
    stopping = expected.replace("4 runs each", "4 runs each, poor ones stopped early by halving")
    assert f"Hyperparameters of better: {stopping}" in comparison_table(made.results(), metrics=["map_at_r"]).footnotes
    searches[0] |= {"scheduler": "none", "sampler": "random", "cost": "train_seconds", "tolerance": 0.01}
    rule = "the one of least train time among those at most 0.01 worse than the best"
    cheap = expected.replace("TPE the best", f"chance {rule}")
    assert f"Hyperparameters of better: {cheap}" in comparison_table(made.results(), metrics=["map_at_r"]).footnotes


@pytest.mark.parametrize(("done", "told"), [(1, "still searched, 1 of 3 settings"), (3, "no setting of its search")])
def test_a_method_without_a_setting_yet_is_named(monkeypatch: pytest.MonkeyPatch, done: int, told: str) -> None:
    made = study()
    settings = [{"state": "failed" if number < done else "unfinished"} for number in range(3)]
    search = {"method": "tuned", "trials": 3, "chosen": None, "settings": settings}
    plan = made.plan()
    monkeypatch.setattr(Study, "plan", lambda self: {**plan, "searches": [search]})
    notes = "\n".join(comparison_table(made.results(), metrics=["map_at_r"]).footnotes)
    assert f"Not in the table: tuned ({told}" in notes and "Hyperparameters" not in notes
