"""Which runs train together: every refusal with its reason, and what may differ."""

from typing import Any, ClassVar

import pytest

from trainables.config import RunConfig
from trainables.fused.rules import fusing_key, refusal
from trainables.losses.config import NormSoftmax
from trainables.testing.runs import changed

PLAIN = RunConfig()
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"strategy": "untrained"}, "strategy 'untrained' organises its training itself"),
    ({"strategy": "ccp", "loss": "contrastive"}, "strategy 'ccp' organises its training itself"),
    ({"loss": "contrastive"}, "loss 'contrastive' chooses pairs by their embeddings"),
    ({"loss": "multi_similarity"}, "loss 'multi_similarity' chooses pairs by their embeddings"),
    ({"loss": "curricularface"}, "loss 'curricularface' keeps a state of its own"),
    ({"synthesis": "memvir"}, "synthesis 'memvir' does more in a step than stacked runs can share"),
    ({"synthesis": "l2a"}, "synthesis 'l2a' does more in a step than stacked runs can share"),
    ({"synthesis": "virtual_softmax"}, "synthesis 'virtual_softmax' does more in a step than stacked runs can share"),
    ({"synthesis": "manifold_mixup"}, "synthesis 'manifold_mixup' does more in a step than stacked runs can share"),
    (
        {"synthesis": {"name": "proxy_synthesis", "pairing": "nearest_proxy"}},
        "synthesis.pairing nearest_proxy looks at the proxies in every step",
    ),
    ({"backbone": "resnet18"}, "backbone 'resnet18' is trained, and fills a GPU by itself"),
    ({"backbone": "mobilenet_v2"}, "backbone 'mobilenet_v2' is trained, and fills a GPU by itself"),
    ({"protocol": {"patience": 3}}, "protocol.patience ends every run at an epoch of its own"),
    ({"training_set": {"class_fraction": 0.5}}, "training_set.class_fraction gives every seed other classes"),
    ({"training": {"compile": True}}, "training.compile compiles the network of one run"),
    ({"training": {"precision": "float16"}}, "precision float16 scales the loss of a run by what happens to it"),
]
FUSED: list[dict[str, Any]] = [
    {},
    {"synthesis": "proxy_synthesis"},
    {"backbone": {"name": "mobilenet_v2", "trainable": False}},
    {"loss": "arcface", "optimizer": "sgd"},
    {"synthesis": {"name": "proxy_synthesis", "pairing": "nearest_proxy", "ratio": 0}},
]
SAME: list[dict[str, Any]] = [
    {"seed": 7},
    {"loss": {"scale": 9.0}},
    {"optimizer": {"lr": 0.5, "weight_decay": 0.1, "eps": 0.01, "proxy_lr_multiplier": 9, "head_lr_multiplier": 2}},
    {"schedule": "cosine", "training": {"lr_warmup_epochs": 2}},
    {"synthesis": {"mixup_alpha": 3.0}},
]
OTHER: list[dict[str, Any]] = [
    {"synthesis": {"ratio": 0.5}},
    {"synthesis": "none"},
    {"loss": "cosface"},
    {"fold": 1},
    {"training": {"epochs": 3}},
    {"training": {"batch_size": 64}},
    {"training": {"clip_norm": 1.0}},
    {"embedding_dim": 32},
    {"optimizer": "sgd"},
    {"backbone": {"width": 8}},
    {"stage": "tune"},
    {"device": "cuda"},
]


@pytest.mark.parametrize(("sections", "reason"), REFUSED, ids=str)
def test_runs_that_train_alone(sections: dict[str, Any], reason: str) -> None:
    assert refusal(changed(PLAIN, **sections)) == reason


class Own(NormSoftmax):
    """A plug-in that begins as a loss of ours."""

    implementation: ClassVar[str] = "own:loss"


class OwnThatFuses(Own):
    implementation: ClassVar[str] = "own:stacked"
    fuses: ClassVar[bool] = True


def test_a_plugin_has_to_say_so_itself() -> None:
    assert refusal(PLAIN.model_copy(update={"loss": Own()})) == "loss 'norm_softmax' does not say that it `fuses`"
    assert refusal(PLAIN.model_copy(update={"loss": OwnThatFuses()})) is None


@pytest.mark.parametrize("sections", FUSED, ids=str)
def test_runs_that_can_train_together(sections: dict[str, Any]) -> None:
    assert refusal(changed(PLAIN, **sections)) is None


@pytest.mark.parametrize("sections", SAME, ids=str)
def test_numbers_that_may_differ(sections: dict[str, Any]) -> None:
    run = changed(PLAIN, synthesis="proxy_synthesis")
    assert fusing_key(changed(run, **sections)) == fusing_key(run)
    assert changed(run, **sections).run_id() != run.run_id()


@pytest.mark.parametrize("sections", OTHER, ids=str)
def test_what_sets_shapes_and_steps_apart(sections: dict[str, Any]) -> None:
    run = changed(PLAIN, synthesis="proxy_synthesis")
    assert fusing_key(changed(run, **sections)) != fusing_key(run)
