"""The protocol below every table and figure: how the numbers were made, read from the runs themselves."""

import json
from typing import Any

import pytest
from matplotlib.text import Text
from study_in_memory import Study

from analysis import plots
from analysis.loading import Results
from analysis.protocol import protocol_line
from analysis.tables.comparison import comparison_table
from trainables.config import RunConfig

PHOTOS = {"name": "image_folder", "path": "/photos", "image_size": 256, "resize": "crop"}
RESNET = {"name": "resnet50", "weights": "/weights/resnet50.pth", "weights_revision": "0123456789abcdef"}
FIELD = {"crop_scale": [0.08, 1.0], "flip": True, "crop_size": 224, "test_crop": 0.875}


def results(*configs: dict[str, Any]) -> Results:
    """One method per configuration, three seeds of each."""
    study = Study()
    for index, sections in enumerate(configs):
        run = RunConfig.model_validate(sections)
        core = {"backbone": run.backbone.name, "embedding_dim": run.embedding_dim, "strategy": run.strategy.name}
        core |= {"config": json.dumps(run.model_dump(mode="json"))}
        cell = study.add(f"m{index}", [0.5, 0.6, 0.7], settings=core)
        study.curve(cell, [[0.1, 0.2]] * 3)
    return study.results()


def line(*configs: dict[str, Any]) -> str:
    found = results(*configs)
    return protocol_line(found, [("made-up", index) for index in range(len(configs))])


def test_the_field_s_protocol_is_told_in_full() -> None:
    told = line({"dataset": PHOTOS, "backbone": RESNET, "embedding_dim": 512, "augmentation": FIELD})
    assert told == (
        "Data: glyphs (revision abcdef012345, 256 px, short side and middle). "
        "Crops: random 8–100 % of the area and random mirroring for training, "
        "the middle square of 87.5 % of the short side for evaluation, at 224 px. "
        "Network: resnet50 (weights resnet50.pth, revision 0123456789ab), embedding dimension 512. "
        "Training: 20 epochs of shuffled batches of 128, adam. "
        "Epoch: best MAP@R on validation classes (1 of 4 folds of the training classes). Distance: cosine."
    )


@pytest.mark.parametrize(
    ("sections", "crops"),
    [
        ({}, "whole images"),
        ({"augmentation": {"flip": True}}, "random mirroring for training, whole images for evaluation"),
        ({"augmentation": FIELD, "backbone": {"name": "conv4", "trainable": False}}, "the middle square of 87.5 %"),
        ({"augmentation": FIELD, "strategy": "untrained"}, "the middle square of 87.5 % of the short side, at 224 px"),
        ({"dataset": {**PHOTOS, "resize": "whole"}}, "the middle square of 100 % of the short side."),
        ({"augmentation": {"crop_scale": [0.5, 0.9]}}, "random 50–90 % of the area for training, whole images for"),
    ],
)
def test_crops_are_told_as_the_network_saw_them(sections: dict[str, Any], crops: str) -> None:
    assert f"Crops: {crops}" in line(sections)


def test_what_differs_between_rows_is_enumerated_or_left_to_the_rows() -> None:
    told = line({"training": {"epochs": 5}}, {"training": {"epochs": 6}, "augmentation": {"flip": True}})
    assert "Training:" not in told
    assert "Crops: whole images; random mirroring for training, whole images for evaluation." in told


def test_only_what_is_drawn_is_told() -> None:
    both = results({}, {"embedding_dim": 32})
    assert "embedding dimension 64; conv4, embedding dimension 32" in protocol_line(
        both, [("made-up", 0), ("made-up", 1)]
    )
    assert "embedding dimension 64." in protocol_line(both, [("made-up", 0)])


@pytest.mark.parametrize(
    ("protocol", "told"),
    [
        ({"test": "every_eval", "evaluate_every": 5}, "Test classes: looked at every 5 epochs."),
        ({"test": "every_eval"}, "Test classes: looked at every epoch."),
        ({"test": "never"}, "Test classes: not looked at."),
        ({}, ""),
    ],
)
def test_looks_at_test_classes_are_told_where_there_are_several_or_none(protocol: dict[str, Any], told: str) -> None:
    found = line({"protocol": protocol})
    assert told in found
    assert bool(told) == ("Test classes" in found)


def test_samplers_and_poolings_are_named() -> None:
    backbone = {"name": "conv4", "pooling": "max"}
    told = line({"backbone": backbone, "sampler": {"name": "balanced", "images_per_class": 4}})
    assert "20 epochs of balanced batches of 128, 4 images per class, adam." in told
    assert "Network: conv4, max pooling, embedding dimension 64." in told


def test_runs_of_earlier_versions_have_no_crop_size() -> None:
    study, run = Study(), RunConfig().model_dump(mode="json")
    for key in ("crop_size", "test_crop"):
        del run["augmentation"][key]
    study.add("a", [0.5, 0.6, 0.7], settings={"config": json.dumps(run)})
    assert "Crops: whole images." in protocol_line(study.results(), [("made-up", 0)])


def test_tables_and_figures_carry_the_same_line() -> None:
    found = results({"dataset": PHOTOS, "backbone": RESNET, "augmentation": FIELD}, {})
    told = protocol_line(found, [("made-up", 0), ("made-up", 1)])
    assert told in comparison_table(found, metrics=["map_at_r"]).footnotes
    for figure in (plots.learning_curves(found), plots.heatmap(found, x="dataset", y="method")):
        texts = [text.get_text().replace("\n", " ") for text in figure.findobj(Text)]
        assert any(told in text for text in texts)
