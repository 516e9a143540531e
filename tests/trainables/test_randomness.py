"""Random streams: functions of what they are for, and never of what was drawn before."""

import random
from collections.abc import Callable

import numpy as np
import pytest
import torch

from trainables.randomness import derive_seed, generator, isolated_rng, numpy_generator
from trainables.step import Step


def test_derived_seeds_never_change() -> None:
    """They are hashes: no library can change them, and all weights and batches hang on them."""
    assert derive_seed(0, "sampler", 0) == 1168555193439450948
    assert derive_seed(7, "head") == 1235907569410088687


def test_a_seed_depends_on_every_part_of_its_scope() -> None:
    scopes: list[tuple[int, tuple[int | str, ...]]] = [
        (0, ()),
        (1, ()),
        (0, ("a",)),
        (0, ("b",)),
        (0, ("a", 1)),
        (0, (1, "a")),
        (0, ("a", "1")),
        (0, ("a1",)),
        (0, ("a", 1, 2)),
        (0, ("a", 12)),
    ]
    assert len({derive_seed(base, *scope) for base, scope in scopes}) == len(scopes)
    assert all(0 <= derive_seed(base, *scope) < 2**63 for base, scope in scopes)


@pytest.mark.parametrize("make", [generator, numpy_generator])
def test_generators_are_fresh_and_leave_the_global_ones_alone(make: Callable[..., object]) -> None:
    def drawn(*scope: int | str) -> list[float]:
        source = make(3, *scope)
        if isinstance(source, torch.Generator):
            return [float(value) for value in torch.rand(3, generator=source)]
        assert isinstance(source, np.random.Generator)
        return [float(value) for value in source.random(3)]

    torch.manual_seed(0)
    np.random.seed(0)
    expected = (float(torch.rand(1)), float(np.random.rand()))
    torch.manual_seed(0)
    np.random.seed(0)
    assert drawn("a", 1) == drawn("a", 1)
    assert drawn("a", 1) != drawn("a", 2)
    assert (float(torch.rand(1)), float(np.random.rand())) == expected


def test_the_streams_of_a_step_are_told_apart_by_purpose_epoch_and_index() -> None:
    steps = [Step(0, 0, 0), Step(0, 0, 1), Step(0, 1, 0), Step(1, 0, 0)]
    torch_draws = {float(torch.rand(1, generator=step.generator(purpose))) for step in steps for purpose in "ab"}
    numpy_draws = {float(step.numpy_generator(purpose).random()) for step in steps for purpose in "ab"}
    assert len(torch_draws) == len(numpy_draws) == 8


def global_draws() -> tuple[float, float, float]:
    return random.random(), float(np.random.rand()), float(torch.rand(1))


def test_isolated_library_code_is_seeded_and_the_rest_goes_on_as_if_it_had_not_run() -> None:
    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(5)
    undisturbed = [global_draws(), global_draws()]
    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(5)
    first = global_draws()
    with isolated_rng(1, "library", 2):
        inside = [global_draws(), global_draws()]
        with isolated_rng(1, "inner"):
            global_draws()
        inside.append(global_draws())
    assert [first, global_draws()] == undisturbed
    with isolated_rng(1, "library", 2):
        assert [global_draws() for _ in range(3)] == inside
    with isolated_rng(1, "library", 3):
        assert global_draws() != inside[0]


def test_an_error_inside_puts_the_generators_back_too() -> None:
    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(5)
    undisturbed = global_draws()
    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(5)
    with pytest.raises(RuntimeError, match="library"), isolated_rng(1):
        global_draws()
        raise RuntimeError("library")
    assert global_draws() == undisturbed
