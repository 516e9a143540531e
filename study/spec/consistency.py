"""What the pieces of a spec must not contradict."""

from study.spec.document import At
from study.spec.errors import Problems
from study.spec.merge import Files, place_of
from study.spec.settings import Setting
from study.spec.spec import UNTRAINED, Axis, Spec


def check(spec: Spec, files: Files, problems: Problems) -> None:
    """Adds a problem for every contradiction between places of a spec that are right for themselves."""
    _check_present(spec, files, problems)
    _check_seeds(spec, files, problems)
    _check_tuned(spec, problems)
    _check_settling(spec, files, problems)
    for setting in spec.overrides:
        _check_override(setting, spec.axes, problems)


def _check_present(spec: Spec, files: Files, problems: Problems) -> None:
    place = files[-2][0].place(())
    if not spec.study and "study" not in files[-2][0].data:
        problems.add(place, "study", "is missing; give the study a name: `study: my-study`")
    if not any(file.methods for _, file in files) and "methods" not in files[-2][0].data:
        problems.add(place, "methods", "is missing; a study compares methods: `methods: {a: {loss: norm_softmax}}`")
    for method in spec.methods:
        if spec.untrained and method.name == UNTRAINED:
            text = "is the name of the automatic row; rename the method or set `untrained: false`"
            problems.add(method.place, f"methods.{UNTRAINED}", text)


def _check_seeds(spec: Spec, files: Files, problems: Problems) -> None:
    for document, file in files:
        confirm = file.stages.confirm
        if confirm is not None and confirm.seeds is not None and "seeds" in file.replicates.model_fields_set:
            at = At(document) / "stages" / "confirm" / "seeds"
            other = document.place(("replicates", "seeds"))
            problems.add(at.place, at.key, f"the seeds stand under replicates too ({other}); keep one")
    searched = spec.stages.tune is not None or spec.needs_search
    both = sorted(set(spec.replication.seeds) & set(spec.tune_stage.seeds)) if searched else []
    if both:
        text = f"has {both} in common with the seeds of the tables; choose settings on other seeds, such as [100, 101]"
        problems.add(place_of(files, "stages", "tune", "seeds"), "stages.tune.seeds", text)


def _check_settling(spec: Spec, files: Files, problems: Problems) -> None:
    rule, seeds = spec.replication.until_settled, len(spec.replication.seeds)
    if rule is None:
        return
    place, key = place_of(files, "replicates", "until_settled"), "replicates.until_settled"
    if not spec.claims:
        problems.add(place, key, 'needs claims to settle, such as `claims: ["A > B on map_at_r"]`')
    if rule.first >= seeds:
        text = f"looks after {rule.first} seeds first, and there are {seeds}; give more seeds or a smaller `first`"
        problems.add(place, f"{key}.first", text)


def _check_tuned(spec: Spec, problems: Problems) -> None:
    compared = {axis.key: axis.place for axis in spec.axes}
    for method in spec.methods:
        for key, dimension in method.tune.items():
            if key in compared:
                text = f"is an axis of compare too ({compared[key]}); tune it or compare it"
                problems.add(dimension.place, f"methods.{method.name}.tune.{key}", text)


def _check_override(setting: Setting, axes: tuple[Axis, ...], problems: Problems) -> None:
    own = (setting.section, *(() if setting.names_part else setting.path))
    for axis in axes:
        if own == (axis.section, *axis.path):
            text = f"is an axis of compare; narrow the axis instead: --set 'compare.{axis.key}=[...]'"
            problems.add(setting.source.place, setting.key, text)
