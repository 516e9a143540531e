"""What a shard leaves to a driver of the whole folder: whatever rewrites what other shards may be reading."""

from collections.abc import Sequence

from study.launch.summary import LaunchOptions
from study.plan import Plan
from trainables.errors import ConfigError


def refuse_unsharded(plan: Plan, options: LaunchOptions) -> None:
    """Stops before anything is written.

    Raises:
        ConfigError: the remedy.
    """
    if plan.searches and options.stage != "confirm":
        raise ConfigError(
            "--shard: settings of a search learn from each other, and one driver has to propose them; search with "
            "`run --stage tune` first, then start the shards with `--stage confirm`"
        )
    if plan.settling:
        raise ConfigError(
            "--shard: with `replicates.until_settled` one driver decides which seeds are trained; start it without "
            "--shard, or take the key out of the spec"
        )
    if options.policy == "always":
        raise ConfigError("--shard: `--policy always` forgets runs; take them out with `dml-study invalidate` first")
    if options.retry_failed:
        raise ConfigError(
            "--shard: `--retry-failed` forgets runs; first say `dml-study invalidate STUDY --where status=failed "
            "--reason retry`, then start the shards"
        )


def refuse_forgetting(run_ids: Sequence[str]) -> None:
    """For runs that ended without what others need of them.

    Raises:
        ConfigError: the remedy.
    """
    shown = ", ".join(run_id[:8] for run_id in run_ids[:5])
    raise ConfigError(
        f"--shard: {len(run_ids)} runs have to be trained again ({shown}): say `dml-study run` without --shard once, "
        "or take them out with `dml-study invalidate`"
    )
