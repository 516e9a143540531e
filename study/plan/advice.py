"""Warnings: what is allowed and probably not meant."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

from study.plan.grid import Grid
from study.plan.untrained import Made
from study.spec.spec import UNTRAINED, Spec
from trainables.losses.config import NormSoftmax, ProxyNCA


def advice(spec: Spec, grid: Grid, cells: Sequence[Made]) -> Iterator[str]:
    """All warnings about a plan's cells."""
    yield from _idle(spec, grid)
    yield from _same_runs(cells)
    yield from _same_functions(cells)
    yield from _random_frozen(cells)
    yield from _other_distance(cells)
    yield from _refitted_folds(cells)
    if spec.stages.tune is not None and not spec.needs_search:
        yield "stages.tune is there, and no method has a `tune`: nothing is searched"


def _idle(spec: Spec, grid: Grid) -> Iterator[str]:
    for index in grid.idle_rules:
        rule = spec.rules[index]
        if not rule.inherited:
            yield f"{rule.condition.place}: rule {rule.number} ({rule.condition}) fits no cell"
    for index in grid.idle_exclusions:
        condition = spec.exclude[index]
        yield f"{condition.place}: exclude ({condition}) fits no cell"


def _same_runs(cells: Sequence[Made]) -> Iterator[str]:
    runs: dict[str, set[str]] = {}
    for cell in cells:
        runs.setdefault(cell.method, set()).update(replicate.run_id for replicate in cell.replicates)
    for first, second in combinations(runs, 2):
        if runs[first] == runs[second]:
            yield f"methods '{first}' and '{second}' are the same runs: nothing that matters differs between them"


def _same_functions(cells: Sequence[Made]) -> Iterator[str]:
    """Proxy-NCA at scale s is normalized softmax at 2 s (the positive stands in its denominator here)."""
    softmax = {cell.replicates[0].run_id: cell.method for cell in cells if isinstance(cell.config.loss, NormSoftmax)}
    scales = {cell.config.loss.scale for cell in cells if isinstance(cell.config.loss, NormSoftmax)}
    told: set[tuple[str, str]] = set()
    for cell in cells:
        loss = cell.config.loss
        if not isinstance(loss, ProxyNCA) or 2 * loss.scale not in scales:
            continue
        twin = NormSoftmax(scale=2 * loss.scale, proxy_init=loss.proxy_init)
        other = softmax.get(cell.config.model_copy(update={"loss": twin}).run_id())
        if other is not None and (cell.method, other) not in told:
            told.add((cell.method, other))
            yield (
                f"methods '{cell.method}' and '{other}' are the same function: "
                f"proxy_nca at scale {loss.scale:g} is norm_softmax at scale {twin.scale:g}"
            )


def _random_frozen(cells: Sequence[Made]) -> Iterator[str]:
    backbones: Mapping[str, None] = dict.fromkeys(
        cell.config.backbone.name
        for cell in cells
        if not cell.config.backbone.trainable and not cell.config.backbone.weights and cell.method != UNTRAINED
    )
    for name in backbones:
        yield f"backbone {name} is frozen at random weights; give it a file: backbone.weights"


def _other_distance(cells: Sequence[Made]) -> Iterator[str]:
    """Losses that keep short embeddings short want a distance that does so too."""
    methods: Mapping[str, None] = dict.fromkeys(
        cell.method
        for cell in cells
        if getattr(cell.config.loss, "normalize", "") == "lipschitz" and cell.config.protocol.distance != "lipschitz"
    )
    for name in methods:
        yield f"method '{name}' trains with loss.normalize: lipschitz; set protocol.distance: lipschitz to measure so"


def _refitted_folds(cells: Sequence[Made]) -> Iterator[str]:
    """Models that trained again on all training classes are no longer models of their folds."""
    methods: Mapping[str, None] = dict.fromkeys(
        cell.method
        for cell in cells
        if cell.config.protocol.refit
        and cell.config.protocol.selection == "best_validation"
        and len({replicate.fold for replicate in cell.replicates} - {None}) > 1
    )
    if methods:
        yield (
            f"protocol.refit with several folds ({', '.join(methods)}): the fold models of a seed train again on the "
            "same classes and differ in their number of epochs alone, so that their average says little more than one; "
            "leave out protocol.refit, or replicates.folds"
        )
