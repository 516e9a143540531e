"""How long it took to get to the selected epoch, as a column of tables."""

import pytest
from study_in_memory import Study

from analysis import comparison_table, render


def test_steps_and_time_to_the_selected_epoch_are_metrics() -> None:
    study = Study(seeds=(0, 1))
    base = study.add("slow", [0.5, 0.5])
    study.add("fast", [0.5, 0.5], baseline=base)
    for number, row in enumerate(study.runs.values()):
        epoch = (8, 6, 2, 4)[number]
        row.update(selected_epoch=epoch, epochs_trained=10, steps=250, train_seconds=5.0, config=row["config"] or "{}")
    results = study.results()
    runs = results.replicates.set_index(["method", "seed"])
    assert runs["selected_steps"].to_dict() == {("slow", 0): 200, ("slow", 1): 150, ("fast", 0): 50, ("fast", 1): 100}
    assert runs["selected_seconds"].tolist() == pytest.approx([4, 3, 1, 2])
    table = render(comparison_table(results, metrics=["selected_epoch", "selected_steps"], show=["n"]), "markdown")
    assert "Selected epoch | Steps to the selected epoch" in table
    assert "| slow | 2 | 7.0 | 175.0 |" in table and "| fast | 2 | **3.0** | **75.0** |" in table


def test_a_run_that_was_refitted_has_none() -> None:
    study = Study(seeds=(0,))
    study.add("m", [0.5])
    (row,) = study.runs.values()
    row.update(
        selected_epoch=5, epochs_trained=15, steps=300, train_seconds=5.0, config='{"protocol": {"refit": true}}'
    )
    assert study.results().runs["selected_steps"].isna().all()
