"""Where a run stops itself: at the first cutoff that it does not reach, never within a warm-up."""

import math
from typing import Any

import pytest

from trainables.config import RunConfig
from trainables.training.cutoffs import Curve, judged, stopped_after, warm_up


def run(**sections: Any) -> RunConfig:
    return RunConfig.model_validate({"training": {"epochs": 20}, **sections})


@pytest.mark.parametrize(
    ("values", "cutoffs", "stop"),
    [
        ({5: 0.3, 10: 0.4}, {5: 0.3, 10: 0.4}, None),  # an equal value goes on
        ({5: 0.3, 10: 0.39}, {5: 0.3, 10: 0.4}, 10),
        ({5: 0.29, 10: 0.1}, {10: 0.4, 5: 0.3}, 5),
        ({5: math.nan}, {5: 0.0}, 5),
        ({4: 0.1, 6: 0.1}, {5: 0.3}, None),  # not measured there
        ({4: 0.9}, {5: 0.3}, None),  # not there yet
        ({}, {5: 0.3}, None),
    ],
)
def test_a_run_stops_at_the_first_cutoff_that_it_does_not_reach(
    values: dict[int, float], cutoffs: dict[int, float], stop: int | None
) -> None:
    assert stopped_after(run(), Curve(values), cutoffs) == stop


def test_small_label_distances_are_good() -> None:
    protocol = run().protocol.model_copy(update={"select_by": "label_distance_at_10"})
    distance = run().model_copy(update={"protocol": protocol})
    assert stopped_after(distance, Curve({5: 30.0}), {5: 29.0}) == 5
    assert stopped_after(distance, Curve({5: 28.0}), {5: 29.0}) is None


@pytest.mark.parametrize(
    ("sections", "steps", "epochs"),
    [
        ({}, 3, 0),
        ({"training": {"epochs": 20, "warmup_epochs": 2, "lr_warmup_epochs": 3}}, 3, 3),
        ({"loss": "contrastive", "synthesis": {"name": "xbm", "warmup_epochs": 4}}, 3, 5),
        ({"synthesis": {"name": "memvir", "steps": 4, "gap": 1, "warmup_epochs": 1}}, 3, 1 + 3),  # 4 (1 + 1) steps
        ({"synthesis": {"name": "memvir", "steps": 4, "gap": 1, "warmup_epochs": 1}}, None, 2),
    ],
)
def test_nobody_judges_a_warm_up(sections: dict[str, Any], steps: int | None, epochs: int) -> None:
    warmed = run(**sections)
    assert warm_up(warmed, steps=steps) == epochs
    if steps:
        poor = Curve(dict.fromkeys(range(1, 21), 0.0), steps)
        assert min(judged(warmed, poor)) == epochs + 1
        assert stopped_after(warmed, poor, dict.fromkeys((epochs, epochs + 2), 0.5)) == epochs + 2


def test_the_curve_of_rows_as_made_and_as_read() -> None:
    made = [
        {"epoch": 1, "steps": 7, "extra": {}},
        {"epoch": 2, "steps": 8, "val_map_at_r": 0.5, "extra": {"val_ndcg_at_10": 0.7}},
    ]
    read = [
        {"epoch": 2, "steps": 8, "val_map_at_r": 0.5, "extra": [("val_ndcg_at_10", 0.7)]},
        {"epoch": 1, "steps": 7, "val_map_at_r": None, "extra": None},
    ]
    for rows in (made, read):
        assert Curve.of(rows, metric="map_at_r") == Curve({2: 0.5}, 7)
        assert Curve.of(rows, metric="ndcg_at_10") == Curve({2: 0.7}, 7)
    assert Curve.of([], metric="map_at_r").values == {}
