"""Parameters that no method has: what a spec sets, compares or tunes in vain."""

from collections.abc import Iterable, Mapping

from study.plan.grid import Grid
from study.spec import sections
from study.spec.errors import Problems
from study.spec.settings import Setting
from study.spec.spec import Spec

Parts = Mapping[tuple[str, str], set[str]]


def check_coverage(spec: Spec, grid: Grid, problems: Problems) -> None:
    """Adds a problem for every parameter that reaches nothing."""
    parts = _with_rules(spec, grid.parts)
    names = [method.name for method in spec.methods]
    shared = [*spec.base, *(setting for rule in spec.rules for setting in rule.settings), *spec.overrides]
    _check(shared, names, parts, problems)
    for method in spec.methods:
        _check(method.settings, [method.name], parts, problems)
        for key, dimension in method.tune.items():
            section, *path = key.split(".")
            text = _nobody_has(section, tuple(path), [method.name], parts)
            if text is not None:
                problems.add(dimension.place, f"methods.{method.name}.tune.{key}", text)
    for axis in spec.axes:
        text = _nobody_has(axis.section, axis.path, names, parts)
        if text is not None and axis.key not in grid.crossed:
            problems.add(axis.place, f"compare.{axis.key}", text)


def _check(settings: Iterable[Setting], methods: list[str], parts: Parts, problems: Problems) -> None:
    for setting in settings:
        if setting.must_apply and not setting.choice:
            text = _nobody_has(setting.section, setting.path, methods, parts)
            if text is not None:
                problems.add(setting.source.place, setting.source.key, text)


def _nobody_has(section: str, path: tuple[str, ...], methods: list[str], parts: Parts) -> str | None:
    if not path or not sections.is_part(section) or not methods:
        return None
    used = sorted(set().union(*(parts.get((method, section), set()) for method in methods)))
    homes = [name for name, cls in sections.owners(section).items() if path[0] in sections.parameters(cls)]
    if not used or set(homes) & set(used):
        return None
    who = f"method '{methods[0]}' has" if len(methods) == 1 else "the methods have"
    return f"reaches nothing: {who} {section} {', '.join(used)}, and '{path[0]}' belongs to {', '.join(homes)}"


def _with_rules(spec: Spec, parts: Parts) -> Parts:
    """Parts that rules name count too."""
    result = {key: set(names) for key, names in parts.items()}
    for rule in spec.rules:
        for setting in rule.settings:
            for method in spec.methods:
                if setting.names_part:
                    result.setdefault((method.name, setting.section), set()).add(setting.value)
    return result
