"""Which runs a shard has, and what it does not do."""

from collections.abc import Callable
from pathlib import Path

import pytest

from study.launch import LaunchOptions
from study.launch.sharding import refuse_forgetting, refuse_unsharded
from study.plan import Plan
from study.plan.shards import runs_of
from trainables.errors import ConfigError
from trainables.ledger.shards import Shard

MakePlan = Callable[..., Plan]

SPEC = """\
study: s
methods:
  norm: {loss: norm_softmax}
  anchor: {loss: proxy_anchor}
  student: {strategy: {name: transfer, loss: relaxed_contrastive, teacher: {method: norm, seed: same}}}
replicates: {seeds: 20}
"""


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_every_run_is_in_one_shard(make_plan: MakePlan, count: int) -> None:
    plan = make_plan(SPEC)
    parts = [runs_of(plan, Shard(index, count)) for index in range(1, count + 1)]
    assert sum(map(len, parts)) == len(plan.runs) and set().union(*parts) == set(plan.runs)
    assert all(parts)


def test_runs_that_need_one_another_are_together(make_plan: MakePlan) -> None:
    plan = make_plan(SPEC)
    assert sum(bool(run.sources) for run in plan.runs.values()) == 20
    for index in range(1, 6):
        part = runs_of(plan, Shard(index, 5))
        for run_id in part:
            assert part.issuperset(set(plan.runs[run_id].sources))


def test_a_shard_does_not_depend_on_the_rest_of_the_plan(make_plan: MakePlan) -> None:
    whole = make_plan(SPEC)
    smaller = make_plan(SPEC.replace("  anchor: {loss: proxy_anchor}\n", ""))
    for index in (1, 2, 3):
        assert runs_of(smaller, Shard(index, 3)) == runs_of(whole, Shard(index, 3)) & set(smaller.runs)


TUNED = """\
study: s
methods:
  norm: {loss: norm_softmax, tune: {loss.scale: [8, 16]}}
stages: {tune: {trials: 2, seeds: [100]}}
"""


@pytest.mark.parametrize(
    ("spec", "options", "message"),
    [
        (TUNED, {}, "search with `run --stage tune` first, then start the shards with `--stage confirm`"),
        (TUNED, {"stage": "tune"}, "one driver has to propose them"),
        (SPEC, {"policy": "always"}, "`--policy always` forgets runs"),
        (SPEC, {"retry_failed": True}, "dml-study invalidate STUDY --where status=failed"),
    ],
)
def test_what_shards_leave_to_one_driver(
    make_plan: MakePlan, spec: str, options: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        refuse_unsharded(make_plan(spec), LaunchOptions(cache=Path(), shard=Shard(1, 2), **options))  # type: ignore[arg-type]


def test_confirm_runs_may_be_shared_out(make_plan: MakePlan) -> None:
    refuse_unsharded(make_plan(TUNED), LaunchOptions(cache=Path(), shard=Shard(1, 2), stage="confirm"))


def test_runs_to_be_forgotten_are_named() -> None:
    with pytest.raises(ConfigError, match=r"2 runs have to be trained again \(aaaaaaaa, bbbbbbbb\)"):
        refuse_forgetting(["aaaaaaaaaaaa", "bbbbbbbbbbbb"])
