"""Run ids: everything that changes a run's numbers changes its id, and nothing else does."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Literal, get_args, get_origin

import pytest
from pydantic import ValidationError

from trainables.config import REGISTRIES, RunConfig
from trainables.parts import Config

REQUIRED: dict[str, dict[str, Any]] = {
    "image_folder": {"path": "/photos.csv"},
    "torchvision": {"architecture": "resnext50_32x4d"},
    "timm": {"architecture": "resnet50d"},
}
OTHER_VALUES = {"batch_size": 64, "images_per_class": 8}
"""Where the rule of `another` would give a value that cannot be."""

EVERYTHING_MATTERS: dict[str, Any] = {
    "synthesis": "proxy_synthesis",
    "sampler": "balanced",
    "augmentation": {"crop_scale": [0.5, 0.9], "crop_ratio": [0.75, 1.25], "flip": True},
    "schedule": "step",
    "device": "cuda",
}


def run_with(**sections: Any) -> RunConfig:
    return RunConfig.model_validate({**EVERYTHING_MATTERS, **sections})


def written(kind: str, name: str) -> dict[str, Any]:
    return {"name": name, **REQUIRED.get(name, {})}


def another(value: Any, annotation: Any, key: str) -> Any:
    """A different value that the field can have."""
    if key in OTHER_VALUES:
        return OTHER_VALUES[key]
    options = [option for option in _literals(annotation) if option != value]
    if options:
        return options[-1]
    if isinstance(value, tuple):
        return [another(item, None, "") for item in value]
    if value is None or isinstance(value, str):
        return "another" if str in (annotation, *get_args(annotation)) else 1
    return _another_number(value)


def _another_number(value: float) -> float:
    if isinstance(value, bool):
        return not value
    return value + 1 if isinstance(value, int) else 0.8 * value + 0.01


def _literals(annotation: Any) -> list[Any]:
    arguments = get_args(annotation)
    if get_origin(annotation) is Literal:
        return list(arguments)
    return [literal for argument in arguments for literal in _literals(argument)]


def leaves(config: Config) -> Iterator[tuple[str, Any, bool]]:
    """Fields of a section but its name: key, another value, and whether the field is hidden."""
    for key, field in type(config).model_fields.items():
        extra = field.json_schema_extra
        is_hidden = isinstance(extra, dict) and extra.get("hashed") is False
        if key != "name":
            value = VALUES[key] if key in VALUES else another(getattr(config, key), field.annotation, key)
            yield key, value, is_hidden


PARTS = [(kind, name) for kind, parts in REGISTRIES.items() for name in parts if name not in ("none", "untrained")]

TARGETS = {"name": "image_folder", "path": "/photos", "target_columns": ["angle"]}
CONTINUOUS = {"dataset": TARGETS, "sampler": "dense", "synthesis": "none", "loss": "log_ratio"}
PAIRS = {"synthesis": "none", "loss": "contrastive"}
TEACHER = {"run": "0123456789abcdef"}
SURROUNDINGS: dict[str, list[dict[str, Any]]] = {
    "image_folder": [{"dataset": {"target_columns": ["angle"]}}],
    "dense": [CONTINUOUS],
    **{name: [CONTINUOUS] for name in ("log_ratio", "dense_triplet", "naive_triplet")},
    **{name: [PAIRS] for name in ("contrastive", "triplet")},
    "multi_similarity": [PAIRS, {**PAIRS, "loss": {"miner": "none"}}],
    "margin": [PAIRS, {**PAIRS, "loss": {"miner": "none", "boundary_learning": "learned"}}],
    "xbm": [{"loss": "contrastive"}],
    "l2a": [{"synthesis": {"refresh": "epoch", "reduction": "separate"}}, {"synthesis": {"refresh": "step"}}],
    "memvir": [{"synthesis": {"memory": memory}} for memory in ("virtual_classes", "weights", "embeddings")],
    "manifold_mixup": [{}, {"loss": "proxy_anchor"}],
    "ccp": [
        {**PAIRS, "strategy": {"initialization": start, "instance": instance, "compat": compat}}
        for start, instance, compat in [
            ("k_center", "patience", "none"),
            ("random", "patience", "official"),
            ("k_center", "fixed", "official"),
        ]
    ],
    "transfer": [
        {"synthesis": "none", "strategy": {"teacher": TEACHER, "loss": loss}}
        for loss in ("relaxed_contrastive", "relaxed_multi_similarity", "rkd")
    ],
    "fold_ensemble": [{"strategy": {"members": ["a" * 16, "c" * 16]}}],
    **{name: [{}, {"backbone": {"pooling": "gem"}}] for name in REGISTRIES["backbone"]},
    "vit_small": [{"backbone": {"features": "map", "pooling": pooling}} for pooling in ("avg", "gem")],
    "protocol": [{}, {"dataset": TARGETS}],
    "training_set": [{"training_set": {"label_noise": 0.2}}],
}
"""Runs in which parameters of a part, or of a section, matter that do not matter everywhere."""

VALUES: dict[str, Any] = {
    "teacher": {"run": "fedcba9876543210"},
    "deformations": [{"name": "rotation", "strength": 5}],
    "target_columns": ["height"],
    "pool": 200,
    "members": ["a" * 16, "b" * 16],
    "readout": ["mean"],
}
"""Other values of fields that hold more than a number or a word."""


def surrounding(kind: str, name: str) -> list[dict[str, Any]]:
    """Complete runs around a part, or with a section."""
    found = []
    for run in SURROUNDINGS.get(name, [{}]):
        own = run.get(kind, {} if kind in REGISTRIES else EVERYTHING_MATTERS.get(kind, {}))
        own = own if isinstance(own, dict) else {}
        part = {**written(kind, name), **own} if kind in REGISTRIES else own
        found.append({**run, kind: part})
    return found


def differing(kind: str, run: dict[str, Any], key: str, value: Any) -> bool | None:
    """Whether another value of one field gives another id; None where the run cannot be, or has that value."""
    try:
        base = run_with(**run)
        changed = run_with(**{**run, kind: {**run[kind], key: value}})
    except ValidationError:
        return None
    return changed.run_id() != base.run_id() if getattr(changed, kind) != getattr(base, kind) else None


TIED = {"positives"}
"""Fields that have to change together with one of another section."""


def check_fields(kind: str, name: str) -> None:
    runs = surrounding(kind, name)
    fields = leaves(getattr(run_with(**runs[0]), kind))
    for key, value, is_hidden in (field for field in fields if field[0] not in TIED):
        found = [differing(kind, run, key, value) for run in runs]
        told = [each for each in found if each is not None]
        assert told, f"{kind}.{key} cannot be {value} in any of these runs"
        assert any(told) != is_hidden, f"{kind}.{key} = {value}"


@pytest.mark.parametrize(("kind", "name"), PARTS)
def test_every_parameter_of_every_part_counts_and_hidden_ones_never_do(kind: str, name: str) -> None:
    check_fields(kind, name)


@pytest.mark.parametrize("section", ["augmentation", "training", "protocol", "training_set", "head"])
def test_every_parameter_around_the_parts_counts(section: str) -> None:
    check_fields(section, section)


def test_the_rest_of_a_run_counts_but_what_is_kept_on_disk() -> None:
    base = run_with()
    for changed in ({"embedding_dim": 65}, {"seed": 1}, {"fold": 1}, {"stage": "tune"}, {"device": "cpu"}):
        assert run_with(**changed).run_id() != base.run_id(), changed
    assert run_with(keep={"weights": "selected", "embeddings": "test"}).run_id() == base.run_id()
    covered = {"embedding_dim", "seed", "fold", "stage", "device", "keep", "augmentation", "training", "protocol"}
    covered |= {"training_set", "head"}
    assert covered | set(REGISTRIES) == set(RunConfig.model_fields)


@pytest.mark.parametrize(("kind", "name"), PARTS)
def test_parts_are_told_apart_and_survive_json(kind: str, name: str) -> None:
    around = surrounding(kind, name)[0]
    run = run_with(**around)
    for other in REGISTRIES[kind].keys() - {name}:
        with suppress(ValidationError):  # not every part can stand where this one does
            assert run_with(**{**around, kind: written(kind, other)}).run_id() != run.run_id()
    again = RunConfig.model_validate_json(run.model_dump_json())
    assert again == run
    assert again.run_id() == run.run_id()


FROZEN = {"backbone": {"name": "resnet18", "trainable": False, "weights": "/w", "weights_revision": "r"}}
GEM = {"backbone": {**FROZEN["backbone"], "pooling": "gem"}}
BN_INCEPTION = {"backbone": {"name": "bn_inception", "batch_norm": "frozen_statistics"}}
VECTOR = {"backbone": {"name": "timm", "architecture": "resnet50d", "features": "vector"}}
CPU = {"device": "cpu"}
LAST = {"protocol": {"selection": "last"}}
UNTRAINED = {"strategy": "untrained"}


@pytest.mark.parametrize(
    ("base", "change"),
    [
        ({"synthesis": "none"}, {"synthesis": {"name": "proxy_synthesis", "ratio": 0, "mixup_alpha": 3}}),
        ({"augmentation": {}}, {"augmentation": {"crop_ratio": [0.5, 2]}}),
        ({"optimizer": {"name": "adam", "lr": 1.0}}, {"optimizer": {"name": "adam", "lr": 1}}),
        (CPU, {"training": {"deterministic": False}}),
        (CPU, {"training": {"precision": "float32"}}),
        ({}, {"training": {"precision": "bfloat16"}}),
        (FROZEN, {"augmentation": {"flip": False}}),
        (UNTRAINED, {"augmentation": {"crop_scale": [0.1, 1.0], "flip": False}}),
        (FROZEN, {"backbone": {**FROZEN["backbone"], "batch_norm": "frozen"}}),
        (FROZEN, {"backbone": {**FROZEN["backbone"], "weights": "/elsewhere/w"}}),
        (FROZEN, {"backbone": {**FROZEN["backbone"], "gem_power": 4}}),
        (GEM, {"backbone": {**GEM["backbone"], "gem_training": "learned"}}),
        (BN_INCEPTION, {"backbone": {**BN_INCEPTION["backbone"], "momentum": 0.1}}),
        (VECTOR, {"backbone": {**VECTOR["backbone"], "pooling": "gem", "gem_power": 2}}),
        (FROZEN, {"training": {"warmup_epochs": 3, "memory_format": "contiguous", "compile": True}}),
        (LAST, {"fold": 1}),
        (LAST, {"protocol": {"selection": "last", "validation_folds": 9, "partition": "contiguous"}}),
        (LAST, {"protocol": {"selection": "last", "refit": True, "select_by": "recall_at_1", "evaluate_every": 3}}),
        (UNTRAINED, {"loss": "proxy_anchor", "embedding_dim": 3, "optimizer": "sgd", "fold": 2, "sampler": "shuffled"}),
        (UNTRAINED, {"backbone": {"name": "conv4", "batch_norm": "frozen"}}),
        (UNTRAINED, {"backbone": {"name": "conv4", "gem_training": "learned", "gem_power": 4}}),
        (UNTRAINED, {"head": {"bias": False, "layer_norm": "before", "init": "xavier"}}),
        (UNTRAINED, {"training": {"epochs": 3, "memory_format": "contiguous"}, "synthesis": "none"}),
        (UNTRAINED, {"protocol": {"test": "every_eval", "evaluate_every": 2, "ks": [1]}}),
        ({**UNTRAINED, **FROZEN}, {"seed": 5}),
    ],
)
def test_what_cannot_matter_does_not_count(base: dict[str, Any], change: dict[str, Any]) -> None:
    first, second = run_with(**base), run_with(**{**base, **change})
    assert first.model_dump() != second.model_dump() or change.get("optimizer"), "the test changes nothing"
    assert first.run_id() == second.run_id()
    assert first.simplified().strategy == second.simplified().strategy


@pytest.mark.parametrize(
    ("base", "change"),
    [
        (LAST, {"protocol": {"selection": "last", "distance": "euclidean"}}),
        (LAST, {"protocol": {"selection": "last", "test": "never"}}),
        (FROZEN, {"seed": 1}),
        (FROZEN, {"training": {"precision": "float32"}}),
        (FROZEN, {"augmentation": {"crop_size": 224}}),
        (FROZEN, {"augmentation": {"test_crop": 0.875}}),
        (UNTRAINED, {"augmentation": {"crop_size": 224}}),
        (UNTRAINED, {"augmentation": {"test_crop": 0.875}}),
        (GEM, {"backbone": {**GEM["backbone"], "gem_power": 4}}),
        (FROZEN, {"head": {"layer_norm": "before"}}),
        (FROZEN, {"backbone": {**FROZEN["backbone"], "weights_revision": "another"}}),
        (UNTRAINED, {"seed": 5}),
        (UNTRAINED, {"dataset": {"name": "glyphs", "image_size": 32}}),
        (UNTRAINED, {"backbone": {"name": "conv4", "pooling": "max"}}),
        (UNTRAINED, {"protocol": {"distance": "euclidean"}}),
        (UNTRAINED, {"protocol": {"test": "never"}}),
        (UNTRAINED, {"training": {"precision": "float32"}}),
    ],
)
def test_what_looks_idle_and_is_not(base: dict[str, Any], change: dict[str, Any]) -> None:
    assert run_with(**base).run_id() != run_with(**{**base, **change}).run_id()


def test_evaluations_count_without_validation_where_the_best_on_test_is_recorded() -> None:
    every = {"selection": "last", "test": "every_eval"}
    ids = {run_with(protocol={**every, "evaluate_every": number}).run_id() for number in (1, 2)}
    assert len(ids) == 2


def test_a_simplified_run_is_the_same_run_and_stays_as_it_is() -> None:
    for sections in (FROZEN, LAST, UNTRAINED, CPU, {"synthesis": {"name": "proxy_synthesis", "ratio": 0}}):
        run = run_with(**sections)
        assert run.simplified().run_id() == run.run_id()
        assert run.simplified().simplified() == run.simplified()


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"fold": 4}, "fold 4 does not exist with 4 validation_folds"),
        ({"training": {"epochs": 2, "warmup_epochs": 3}}, "training.warmup_epochs is larger than training.epochs"),
        ({"training": {"epochs": 2, "lr_warmup_epochs": 3}}, "training.lr_warmup_epochs is larger than"),
        ({"training": {"batch_size": 30}}, "batch_size 30 is no multiple of sampler.images_per_class 4"),
        ({"optimizer": {"name": "sgd", "momentum": 0, "nesterov": True}}, "nesterov needs a momentum above 0"),
        ({"augmentation": {"crop_scale": [0.9, 0.5]}}, "should be .smallest, largest., is .0.9, 0.5."),
        ({"learning_rate": 1}, "Extra inputs are not permitted"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_it_starts(sections: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        run_with(**sections)


def test_ids_of_released_configurations_never_change() -> None:
    """A ledger written by an older version is read by its ids. Raise a version on purpose, not by accident."""
    run = RunConfig.model_validate({"dataset": {"name": "glyphs", "revision": "0"}})
    assert run.run_id() == "3df8a3590be60385"
