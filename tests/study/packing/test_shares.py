"""How much of a GPU a run gets: by what it needs, in whole numbers of runs, and more where it was not enough."""

from typing import Any

import pytest

from study.packing.kinds import kind_of
from study.packing.shares import Gpu, in_words, larger, per_gpu, share_of
from trainables.config import RunConfig

GIB = 2**30


@pytest.mark.parametrize(
    ("need", "share", "words"),
    [
        (10, 0.25, "4 trials per GPU"),
        (13, 0.3333, "3 trials per GPU"),
        (8.1, 0.25, "4 trials per GPU"),
        (20, 0.5, "2 trials per GPU"),
        (20.1, 1.0, "1 trial per GPU"),
        (90, 1.0, "1 trial per GPU"),
    ],
)
def test_a_whole_number_of_runs_fits_on_a_gpu(need: float, share: float, words: str) -> None:
    assert share_of(need * GIB, 40 * GIB) == share
    assert share * per_gpu(share) <= 1
    assert in_words(share) == words


@pytest.mark.parametrize(
    ("share", "more"), [(0.125, 0.25), (0.2, 0.5), (0.25, 0.5), (0.3333, 1), (0.4, 1), (0.5, 1), (0.7, 1), (1, 1)]
)
def test_a_larger_share_is_at_least_twice_as_large_and_ends_at_a_gpu(share: float, more: float) -> None:
    assert larger(share) == more
    assert more == 1 or more >= 2 * share


def test_a_gpu_is_named_with_its_memory() -> None:
    assert Gpu("NVIDIA H200", 140 * GIB).title == "NVIDIA H200, 140 GiB"
    assert Gpu("NVIDIA L4", int(22.5 * GIB)).title == "NVIDIA L4, 22.5 GiB"
    assert Gpu("", 0).title == "unknown GPU"


def run(**changes: Any) -> RunConfig:
    return RunConfig.model_validate({"backbone": {"name": "conv4", "width": 16}, "device": "cuda", **changes})


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 3},
        {"fold": 2},
        {"stage": "tune"},
        {"training": {"epochs": 7}},
        {"loss": {"name": "norm_softmax", "scale": 10.0}},
        {"optimizer": {"name": "adam", "lr": 0.1}},
    ],
)
def test_runs_of_one_size_are_of_one_kind(changes: dict[str, Any]) -> None:
    assert kind_of(run(**changes)) == kind_of(run())


@pytest.mark.parametrize(
    "changes",
    [
        {"backbone": {"name": "conv4", "width": 32}},
        {"backbone": {"name": "resnet18"}},
        {"embedding_dim": 128},
        {"training": {"batch_size": 64}},
        {"training": {"precision": "float32"}},
        {"dataset": {"name": "glyphs", "image_size": 64}},
        {"loss": "proxy_anchor"},
        {"synthesis": "proxy_synthesis"},
        {"optimizer": "sgd"},
    ],
)
def test_runs_of_other_sizes_are_of_other_kinds(changes: dict[str, Any]) -> None:
    assert kind_of(run(**changes)) != kind_of(run())


def test_a_kind_begins_with_what_a_person_calls_it() -> None:
    assert kind_of(run(synthesis="proxy_synthesis")).startswith("glyphs/conv4/norm_softmax/proxy_synthesis/plain/")
