"""Embedding transfer: configurations that are refused, and what is part of the identity of a run."""

from typing import Any

import pytest
from pydantic import ValidationError
from transfer_tools import FROZEN, UNPLANNED, student_of

from trainables.config import RunConfig
from trainables.testing.runs import changed


@pytest.mark.parametrize(
    ("strategy", "sections", "message"),
    [
        ({}, {"synthesis": "proxy_synthesis"}, "leave synthesis at 'none'"),
        ({"views": 2}, {"backbone": FROZEN}, "set strategy.views to 1 or backbone.trainable"),
        ({"views": 2}, {"augmentation": {"crop_scale": [1, 1], "flip": False}}, "set augmentation.crop_scale or"),
        ({"teacher": None}, {}, "needs a method of this study, a run or a file of weights"),
        ({"teacher": {}}, {}, "needs exactly one of method, run and weights, has none"),
        ({"teacher": {"run": "0" * 16, "weights": "w.pt"}}, {}, "has run and weights"),
        ({"teacher": {"run": "not an id"}}, {}, "run"),
        ({"loss": "rkd", "relabel": "hard", "teacher": None}, {}, "needs a method of this study"),
        ({"loss": "rkd", "angle_weight": 0, "distance_weight": 0}, {}, "nothing is left to learn"),
        ({"sigma": 0}, {}, "sigma"),
    ],
)
def test_impossible_configurations_are_refused(
    short_run: RunConfig, strategy: dict[str, Any], sections: dict[str, Any], message: str
) -> None:
    content = {"strategy": {"name": "transfer", "teacher": UNPLANNED, **strategy}, "synthesis": "none", **sections}
    with pytest.raises(ValidationError, match=message):
        changed(short_run, **content)


@pytest.mark.parametrize(
    ("strategy", "same"),
    [
        ({"loss": "rkd", "sigma": 3, "delta": 2, "diagonal": "excluded", "relabel": "hard"}, {"loss": "rkd"}),
        ({"loss": "pkt", "student_normalize": "unit", "angle_weight": 7}, {"loss": "pkt"}),
        ({"teacher_normalize": "none", "distance_weight": 3}, {}),
        ({"distance_normalization": "none", "diagonal": "excluded"}, {"distance_normalization": "none"}),
        ({"relabel": "hard", "sigma": 5}, {"relabel": "hard", "teacher": {"run": "1" * 16}}),
        ({"teacher": {"run": "0" * 16, "method": "a", "seed": 3, "results": "r"}}, {}),
    ],
)
def test_what_the_loss_does_not_take_is_no_part_of_the_identity(
    short_run: RunConfig, strategy: dict[str, Any], same: dict[str, Any]
) -> None:
    teacher = {"run": "0" * 16}
    first = student_of(short_run, teacher, strategy=strategy, loss="proxy_anchor")
    assert first.run_id() == student_of(short_run, teacher, strategy=same).run_id()
    assert RunConfig.model_validate(first.simplified().model_dump()).run_id() == first.run_id()


@pytest.mark.parametrize(
    "strategy",
    [
        {"sigma": 2},
        {"delta": 2},
        {"diagonal": "excluded"},
        {"relabel": "hard"},
        {"views": 2},
        {"student_normalize": "unit"},
        {"distance_normalization": "global_mean"},
        {"loss": "rkd"},
        {"teacher": {"run": "1" * 16}},
    ],
)
def test_what_matters_is_part_of_the_identity(short_run: RunConfig, strategy: dict[str, Any]) -> None:
    teacher = {"run": "0" * 16}
    assert student_of(short_run, teacher).run_id() != student_of(short_run, teacher, strategy=strategy).run_id()
