"""What a search cannot do, found before anything of it is proposed."""

from study.search import evolution
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


def check_space(spec: Spec, method: Method, space: Space, problems: Problems) -> None:
    """Adds a problem where the sampler can do nothing with a space."""
    if spec.tune_stage.sampler == "cmaes" and not evolution.evolving(space):
        text = (
            f"has no range that stages.tune.sampler: cmaes could adapt ({', '.join(space.keys)}): it draws choices at "
            "random; write {distribution: uniform, min: .., max: ..}, or take the sampler tpe"
        )
        problems.add(method.place, f"methods.{method.name}.tune", text)
