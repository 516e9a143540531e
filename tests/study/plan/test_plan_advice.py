"""Warnings about what is allowed and probably not meant."""

from collections.abc import Callable

from study.plan import Plan

MakePlan = Callable[..., Plan]


def test_two_methods_that_are_the_same_function(make_plan: MakePlan) -> None:
    text = "study: s\nmethods: {soft: {loss: {name: norm_softmax, scale: 24}}, nca: {loss: proxy_nca}}\n"
    warning = "methods 'nca' and 'soft' are the same function: proxy_nca at scale 12 is norm_softmax at scale 24"
    assert make_plan(text).warnings == (warning,)
    assert make_plan(text.replace("24", "23")).warnings == ()
    assert make_plan(text.replace("24", "24, proxy_init: normal")).warnings == ()
    assert make_plan(text.replace("proxy_nca}", "proxy_nca, training.epochs: 3}")).warnings == ()


def test_the_same_function_at_one_value_of_an_axis(make_plan: MakePlan) -> None:
    text = "study: s\nmethods: {soft: {}, nca: {loss: proxy_nca}}\ncompare: {loss.scale: [10, 15, 20]}\n"
    assert make_plan(text).warnings == (
        "methods 'nca' and 'soft' are the same function: proxy_nca at scale 10 is norm_softmax at scale 20",
    )
    assert make_plan(text, "compare.loss.scale=[10, 15, 25]").warnings == ()


def test_two_methods_that_are_the_same_runs(make_plan: MakePlan) -> None:
    plan = make_plan("study: s\nmethods: {a: {}, b: {keep.weights: selected}, c: {loss: proxy_nca}}\n")
    assert plan.warnings == ("methods 'a' and 'b' are the same runs: nothing that matters differs between them",)


def test_rules_and_exclusions_that_fit_nothing(make_plan: MakePlan) -> None:
    plan = make_plan(
        "study: s\nmethods: {a: {}}\n"
        "rules:\n  - {when: {method: a}, set: {training.epochs: 3}}\n"
        "  - {when: {loss: proxy_nca, method: a}, set: {training.epochs: 4}}\n"
        "exclude: [{embedding_dim: [1, 2]}]\n"
    )
    assert plan.warnings == (
        "spec.yaml:5: rule 2 (loss: proxy_nca, method: a) fits no cell",
        "spec.yaml:6: exclude (embedding_dim: [1, 2]) fits no cell",
    )


def test_a_frozen_backbone_with_random_weights(make_plan: MakePlan) -> None:
    plan = make_plan("study: s\nextends: frozen_features\nmethods: {a: {}}\n")
    assert plan.warnings == ("backbone conv4 is frozen at random weights; give it a file: backbone.weights",)


def test_a_distance_that_differs_from_that_of_the_training(make_plan: MakePlan) -> None:
    spec = "study: s\nmethods: {a: {loss: {name: contrastive, normalize: lipschitz}}}\n"
    assert make_plan(spec).warnings == (
        "method 'a' trains with loss.normalize: lipschitz; set protocol.distance: lipschitz to measure so",
    )
    assert make_plan(spec + "protocol: {distance: lipschitz}\n").warnings == ()


def test_a_tune_stage_with_nothing_to_tune(make_plan: MakePlan) -> None:
    plan = make_plan("study: s\nmethods: {a: {}}\nstages: {tune: {trials: 3}}\n")
    assert plan.warnings == ("stages.tune is there, and no method has a `tune`: nothing is searched",)


def test_folds_that_all_train_again_on_the_same_classes(make_plan: MakePlan) -> None:
    spec = "study: s\nmethods: {a: {}, b: {loss: proxy_nca}}\nreplicates: {seeds: 2, folds: 2}\n"
    (warning,) = make_plan(spec + "protocol: {refit: true}\n").warnings
    assert warning.startswith("protocol.refit with several folds (a, b): the fold models of a seed train again on the")
    assert make_plan(spec).warnings == ()
    assert make_plan(spec.replace(", folds: 2", "") + "protocol: {refit: true}\n").warnings == ()
