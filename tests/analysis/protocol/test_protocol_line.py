"""The protocol below every table and figure: how the numbers were made, read from the runs themselves."""

import json
from typing import Any

import pytest
from matplotlib.text import Text
from study_in_memory import Study

from analysis import plots
from analysis.loading import Results
from analysis.protocol.notes import protocol_line
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
        "Training: 20 epochs, batches of 128, shuffled, adam, lr 0.001. "
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


def test_one_fact_that_differs_is_enumerated_in_its_place() -> None:
    told = line({"training": {"epochs": 1}}, {"training": {"epochs": 6}})
    assert "Training: 1 or 6 epochs, batches of 128, shuffled, adam, lr 0.001." in told
    assert "Training: 1 epoch, batches" in line({"training": {"epochs": 1}})


def test_variants_are_told_apart_with_their_methods() -> None:
    frozen = {"backbone": {**RESNET, "trainable": False}, "training": {"epochs": 30}}
    tuned = {"backbone": {**RESNET, "batch_norm": "frozen"}, "augmentation": FIELD, "optimizer": {"name": "sgd"}}
    told = line(frozen, tuned, tuned)
    assert "embedding dimension 64; m0: frozen; m1 and m2: batch norm frozen. " in told
    assert "Training: batches of 128, shuffled; m0: 30 epochs, adam, lr 0.001, eps 1e-08" not in told  # the usual eps
    assert "shuffled; m0: 30 epochs, adam, lr 0.001; m1 and m2: 20 epochs, sgd, lr 0.01. " in told
    assert "m0: whole images; m1 and m2: random 8–100 % of the area" in told
    assert "m0: 30 epochs, adam, lr 0.001; other methods: 20 epochs, sgd" in line(frozen, tuned, tuned, tuned)


def test_variants_of_datasets_are_told_by_dataset() -> None:
    study = Study()
    for dataset, rate, every in (("cub200", 1e-4, 10), ("sop", 6e-4, 20)):
        sections = {"optimizer": {"name": "adam", "lr": rate}, "schedule": {"name": "step", "every": every}}
        run = RunConfig.model_validate(sections).model_dump(mode="json")
        study.add("a", [0.5, 0.6, 0.7], dataset=dataset, settings={"config": json.dumps(run)})
    told = protocol_line(study.results(), [("made-up", 0), ("made-up", 1)])
    assert "cub200: lr 0.0001, lr × 0.5 every 10 epochs; sop: lr 0.0006, lr × 0.5 every 20 epochs." in told


def test_of_many_values_only_that_they_differ() -> None:
    many = [{"optimizer": {"name": "adam", "lr": rate}, "training": {"batch_size": 2 + rate}} for rate in (1, 2, 3, 4)]
    told = line(*many)
    assert "Training: 20 epochs, shuffled, adam; batch size and learning rate vary. " in told
    axes = [
        {"optimizer": {"name": "adam", "lr": rate}, "embedding_dim": width}
        for rate in (1, 2)
        for width in (8, 16, 32, 64)
    ]
    told = line(*axes)
    assert "Network: conv4; embedding dimension varies. " in told
    assert "Training: 20 epochs, batches of 128, shuffled, adam, lr 1 or 2. " in told


@pytest.mark.parametrize(
    ("sections", "told"),
    [
        ({"protocol": {"partition": "contiguous"}}, "(1 of 4 contiguous folds of the training classes)."),
        ({"protocol": {"evaluate_every": 5}}, "of the training classes), measured every 5 epochs."),
        ({"protocol": {"patience": 9}}, ", ended by 9 evaluations without a better one."),
        ({"protocol": {"refit": True}}, ", then trained again on all training classes."),
        ({"protocol": {"selection": "last", "patience": 9}}, "Epoch: the last one, trained on all training classes."),
        ({"backbone": {"name": "conv4", "batch_norm": "frozen_statistics"}}, "conv4, batch norm at fixed statistics, "),
        ({"backbone": {"name": "conv4", "batch_norm": "frozen", "trainable": False}}, "conv4, frozen, embedding"),
        ({"backbone": {"name": "conv4", "pooling": "gem", "gem_power": 4}}, "gem (p = 4) pooling"),
        ({"backbone": {"name": "conv4", "pooling": "gem", "gem_training": "learned"}}, "gem (p = 3, learned) pooling"),
        ({"backbone": {"name": "conv4", "width": 32}}, "conv4 of width 32, "),
        (
            {"backbone": {"name": "timm", "architecture": "vit", "features": "vector"}},
            "timm vit, the network's own pool",
        ),
        (
            {"head": {"bias": False, "layer_norm": "before", "init": "xavier"}},
            "head without bias and after layer norm and with xavier init, ",
        ),
        ({"training": {"steps_per_epoch": 25}}, "Training: 20 epochs, 25 steps each, batches of 128, "),
        ({"backbone": {"name": "resnet50", "preprocessing": "caffe"}}, "resnet50, BGR 0–255 input, "),
        (
            {"backbone": {"name": "bn_inception", "mean": [103.53, 116.28, 123.675]}},
            "bn_inception, input less BGR 103.53, 116.28, 123.675, ",
        ),
        ({"backbone": "bn_inception"}, "Network: bn_inception, embedding dimension"),
        ({"schedule": "cosine"}, "lr 0.001, cosine decay of lr."),
        ({"schedule": {"name": "step", "every": 49, "until": 49, "gamma": 0.1}}, "lr × 0.1 after epoch 49."),
        ({"schedule": {"name": "step", "every": 5, "until": 49}}, "lr × 0.5 every 5 epochs until 49."),
        ({"schedule": "inverse_time"}, "lr / (1 + 0.0001 t) at step t."),
        (
            {"optimizer": {"name": "adam", "eps": 0.01, "weight_decay": 1e-4}},
            "lr 0.001, eps 0.01, weight decay 0.0001.",
        ),
        (
            {"optimizer": {"name": "adam", "proxy_lr_multiplier": 100, "head_lr_multiplier": 0.5}},
            "proxies at 100 × lr, head at 0.5 × lr",
        ),
        ({"optimizer": {"name": "sgd", "momentum": 0.8, "nesterov": True}}, "nesterov sgd with momentum 0.8, lr 0.01."),
        ({"optimizer": "rmsprop"}, "rmsprop, lr 0.001."),
        (
            {"training": {"warmup_epochs": 1, "lr_warmup_epochs": 2}},
            "lr rising for 2 epochs, head and proxies alone for 1 epoch.",
        ),
        ({"training": {"clip_norm": 5, "clip_value": 10}}, "gradients clipped at norm 5 and ± 10."),
        ({"training": {"precision": "float16"}}, ", float16."),
        ({"device": "cuda"}, ", bfloat16."),
        (
            {"training_set": {"label_noise": 0.2, "class_fraction": 0.5}},
            "20 % of labels wrong, on 50 % of the classes.",
        ),
    ],
)
def test_what_is_not_the_default_is_told(sections: dict[str, Any], told: str) -> None:
    assert told in line(sections)


def test_only_what_is_drawn_is_told() -> None:
    both = results({}, {"embedding_dim": 32})
    assert "Network: conv4, embedding dimension 64 or 32." in protocol_line(both, [("made-up", 0), ("made-up", 1)])
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
    assert "20 epochs, batches of 128, balanced with 4 images per class, adam, lr 0.001." in told
    assert "Network: conv4, max pooling, embedding dimension 64." in told


def test_runs_of_earlier_versions_lack_fields_and_sections() -> None:
    study, new, old = Study(), RunConfig().model_dump(mode="json"), RunConfig().model_dump(mode="json")
    for section, keys in {
        "augmentation": ("crop_size", "test_crop"),
        "backbone": ("gem_power", "gem_training"),
        "protocol": ("patience", "readout"),
    }.items():
        for key in keys:
            del old[section][key]
    del old["head"], old["training_set"]
    for run in (new, old):
        study.add(f"m{len(study.cells)}", [0.5, 0.6, 0.7], settings={"config": json.dumps(run)})
    lines = {protocol_line(study.results(), [("made-up", index)]) for index in (0, 1)}
    assert lines == {protocol_line(study.results(), [("made-up", 0), ("made-up", 1)])}
    assert "Crops: whole images. Network: conv4, embedding dimension 64. " in lines.pop()


def test_an_untrained_network_is_told_where_it_sees_images_otherwise() -> None:
    trained, untrained = {"augmentation": FIELD}, {"strategy": "untrained"}
    assert "Crops: random 8–100 % of the area" in line({**untrained, "augmentation": FIELD}, trained)
    assert "Crops: m0: whole images; m1: random 8–100 % of the area" in line(untrained, trained)


def test_models_of_a_fold_ensemble_are_told_as_single_ones() -> None:
    members = {"name": "fold_ensemble", "members": ["0" * 16, "1" * 16]}
    run = {**RunConfig(embedding_dim=256).model_dump(mode="json"), "strategy": members}
    study = Study()
    settings = {"strategy": "fold_ensemble", "embedding_dim": 256, "config": json.dumps(run)}
    study.add("a", [0.5, 0.6, 0.7], settings=settings)
    assert "Network: conv4, embedding dimension 128. " in protocol_line(study.results(), [("made-up", 0)])


def test_tables_and_figures_carry_the_same_line() -> None:
    found = results({"dataset": PHOTOS, "backbone": RESNET, "augmentation": FIELD}, {})
    told = protocol_line(found, [("made-up", 0), ("made-up", 1)])
    assert told in comparison_table(found, metrics=["map_at_r"]).footnotes
    for figure in (plots.learning_curves(found), plots.heatmap(found, x="dataset", y="method")):
        texts = [text.get_text().replace("\n", " ") for text in figure.findobj(Text)]
        assert any(told in text for text in texts)
