"""What a search cannot do, found before anything of it is proposed."""

from study.search import evolution
from study.search.replicate_rule import replicate_rule
from study.search.space import Space
from study.spec.errors import Problems
from study.spec.spec import Method, Spec


def check_stage(spec: Spec, problems: Problems) -> None:
    """Adds a problem for everything in stages.tune that does not go together."""
    stage = spec.tune_stage

    def refuse(key: str, text: str) -> None:
        problems.add(spec.tune_place(key), f"stages.tune.{key}", text)

    if stage.sampler == "cmaes" and not evolution.installed():
        refuse("sampler", f"'cmaes' {evolution.MISSING}")
    if hopeless := _never_ends(spec):
        refuse("prune_replicates", hopeless)
    if stage.cost is None:
        if stage.tolerance:
            refuse(
                "tolerance", "is what a cheaper setting may be worse by, and no cost is named; write stages.tune.cost"
            )
        return
    if stage.sampler == "cmaes":
        refuse("cost", "is a second objective, and 'cmaes' knows one alone; take the sampler tpe")
    if stage.scheduler != "none":
        refuse(
            "cost", "does not go with stopping by one objective alone; write `scheduler: none`, or leave the cost out"
        )
    if stage.prune_replicates is not None:
        refuse("cost", "does not go with prune_replicates, which judges by one objective alone; leave one of them out")


def check_space(spec: Spec, method: Method, space: Space, problems: Problems) -> None:
    """Adds a problem where the sampler can do nothing with a space."""
    if spec.tune_stage.sampler == "cmaes" and not evolution.evolving(space):
        text = (
            f"has no range that stages.tune.sampler: cmaes could adapt ({', '.join(space.keys)}): it draws choices at "
            "random; write {distribution: uniform, min: .., max: ..}, or take the sampler tpe"
        )
        problems.add(method.place, f"methods.{method.name}.tune", text)


def _never_ends(spec: Spec) -> str:
    """Why no setting can skip a replicate, whatever the values."""
    rule = replicate_rule(spec.tune_stage)
    seeds, folds = len(spec.tune_stage.seeds), len(spec.replication.folds)
    if rule is None or rule.first < seeds * folds:
        return ""
    return (
        f"can never save a replicate: a signed-rank test takes {rule.first} of them to get below p = {rule.p:g} (the "
        f"least of n pairs is 1/2^n), and a setting has {seeds * folds} ({seeds} seeds, {folds} folds); take at least "
        f"{rule.first + 1}, a larger p, or leave it out"
    )
