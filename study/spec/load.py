"""From a YAML file to a checked spec."""

from collections.abc import Sequence
from pathlib import Path

from study.costs.budget import Budget
from study.spec import consistency
from study.spec.chain import read_chain
from study.spec.checks import checked
from study.spec.claims import read_claims
from study.spec.compare import read_axes
from study.spec.datasets import read_aliases
from study.spec.document import At, Document
from study.spec.errors import Problems
from study.spec.merge import Files, base_settings, last, merged, place_of, replication, stages
from study.spec.methods import read_methods
from study.spec.model import Resources, SpecFile, TuneStage
from study.spec.overrides import LAYER, parse_overrides
from study.spec.rules import ConditionReader, read_exclusions, read_rules
from study.spec.settings import Layer
from study.spec.spec import UNTRAINED, Spec
from trainables.plugins import load_plugins


def load_spec(path: str | Path, *, overrides: Sequence[str] = (), plugins: Sequence[Path] = ()) -> Spec:
    """Reads a spec with everything that it extends, and checks it.

    Args:
        path: the YAML file.
        overrides: `key=value` texts of the command line.
        plugins: Python files with parts of one's own, imported first.

    Raises:
        SpecError: all that is wrong, with file, line, key, value and remedy.
        ConfigError: a plugin cannot be loaded.
    """
    loaded = load_plugins(plugins)
    problems = Problems()
    files = read_chain(Path(path), problems)
    keys, beats_all = parse_overrides(overrides, problems)
    files.append((keys, checked(SpecFile, keys.data, At(keys), problems) or SpecFile()))
    spec = _spec(Path(path), files, beats_all, loaded, problems)
    consistency.check(spec, files, problems)
    problems.raise_any()
    return spec


def _spec(path: Path, files: Files, beats_all: Document, plugins: tuple[Path, ...], problems: Problems) -> Spec:
    aliases = read_aliases(files, problems)
    resources = merged(Resources, [file.resources for _, file in files])
    untrained = last(files, "untrained", default=True)
    automatic = [UNTRAINED] if untrained else []
    methods = read_methods(files, aliases, resources, problems, automatic=automatic)
    axes = read_axes(files, aliases, problems)
    extended = base_settings(files[:-2], aliases, problems)
    reader = ConditionReader([method.name for method in methods], aliases, axes, problems)
    return Spec(
        study=last(files[-2:], "study", default=""),
        description=last(files[-2:], "description", default=""),
        path=path,
        base=(*extended, *base_settings(files[-2:], aliases, problems)),
        methods=methods,
        axes=axes,
        rules=read_rules(files, aliases, reader),
        exclude=read_exclusions(files, reader),
        overrides=Layer(LAYER, aliases, problems).settings((beats_all.data, At(beats_all))),
        replication=replication(files),
        resources=resources,
        resources_place=place_of(files, "resources"),
        stages=stages(files),
        claims=read_claims(files, [*automatic, *(method.name for method in methods)], problems),
        budget=merged(Budget, [file.budget for _, file in files]),
        untrained=untrained,
        plugins=plugins,
        extended=len(extended),
        tune_places={key: place_of(files, "stages", "tune", key) for key in TuneStage.model_fields},
    )
