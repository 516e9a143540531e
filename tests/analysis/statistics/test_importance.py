"""Importances of parameters, from cells and from searches."""

from itertools import product

import pytest
from study_in_memory import Study

from analysis.statistics.importance import _top, importance
from trainables.errors import DmlStudyError


def grid(**statuses: dict[int, str]) -> Study:
    """The ratio decides, alpha does next to nothing."""
    study = Study(axes=["dataset", "synthesis.ratio", "synthesis.mixup_alpha"], seeds=(0, 1))
    base = study.add("base", [0.5, 0.5])
    for ratio, alpha in product((0.25, 0.5, 1.0), (0.2, 0.4, 1.0)):
        value = 0.5 + 0.1 * ratio + 0.001 * alpha
        place = {"synthesis__ratio": ratio, "synthesis__mixup_alpha": alpha}
        study.add("PS", [value, value + 0.001], baseline=base, status=statuses.get("status"), **place)
    return study


def test_what_decides_is_important() -> None:
    found = importance(grid().results()).set_index("parameter")
    assert found["settings"].tolist() == [9, 9]
    assert found.loc["synthesis.ratio", "fanova"] > 0.9
    assert found.loc["synthesis.ratio", "ped_anova"] > found.loc["synthesis.mixup_alpha", "ped_anova"]
    assert found[["ped_anova", "fanova"]].sum().tolist() == pytest.approx([1, 1])


def test_importances_are_the_same_each_time() -> None:
    assert importance(grid().results()).equals(importance(grid().results()))


def test_settings_that_were_stopped_early_do_not_count() -> None:
    with pytest.raises(DmlStudyError, match="6 finished settings that differ in two parameters"):
        importance(grid(status={0: "pruned"}).results())


def test_settings_of_a_search_are_those_that_are_complete() -> None:
    space = {
        "optimizer.lr": {"distribution": "loguniform", "min": 1e-4, "max": 1e-1, "step": None},
        "loss.name": {"distribution": "choice", "values": ["a", ["b"]]},
    }
    settings = [
        {"params": {"optimizer.lr": 10.0**-exponent, "loss.name": ["a", ["b"]][index % 2]}, "state": "complete"}
        for index, exponent in enumerate((1.1, 1.5, 2.0, 2.5, 3.0, 3.5, 3.9))
    ]
    rows = [{**each, "value": each["params"]["optimizer.lr"]} for each in settings]  # type: ignore[index]
    rows.append({**settings[0], "state": "pruned", "value": 9.0})
    search = {"method": "base", "axes": {"dataset": "glyphs"}, "select_by": "map_at_r", "space": space}
    study = Study()
    study.add("base", [0.5] * 3)
    study.more = {"searches": [{**search, "settings": rows}]}
    found = importance(study.results()).set_index("parameter")
    assert found["kind"].unique().tolist() == ["searched"]
    assert found["settings"].tolist() == [7, 7]
    assert found["fanova"].idxmax() == "optimizer.lr"


@pytest.mark.parametrize(("settings", "quantile"), [(6, 0.5), (10, 0.5), (20, 0.25), (50, 0.1), (400, 0.1)])
def test_the_best_settings_are_a_tenth_or_five_of_them_but_never_more_than_half(settings: int, quantile: float) -> None:
    assert _top(settings) == pytest.approx(quantile)
