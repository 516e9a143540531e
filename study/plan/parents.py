"""Runs that learn from other runs of the study: which run each replicate waits for."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from study.plan.identity import Replicate
from study.plan.untrained import Made
from study.spec.errors import Problems
from study.spec.spec import Method, Spec
from trainables.config import RunConfig
from trainables.spelling import nearest
from trainables.strategies.config import Parent

_SHOWN = 3


class _ParentError(Exception):
    """Why no parent can be named, in words for the spec's author."""


def linked(cells: Sequence[Made], spec: Spec, problems: Problems) -> list[Made]:
    """The cells; where a strategy names a method as parent, every replicate has its run as a parent.

    A parent is looked for in the cell of that method that has the same value on every axis that both have, and there
    among the replicates of the same fold.
    """
    linker = _Linker(cells, spec, problems)
    return [linker.cell(index) for index in range(len(cells))]


class _Linker:
    def __init__(self, cells: Sequence[Made], spec: Spec, problems: Problems) -> None:
        self.cells = cells
        self.by_method: dict[str, list[int]] = {}
        for index, cell in enumerate(cells):
            self.by_method.setdefault(cell.method, []).append(index)
        self.methods = {method.name: method for method in spec.methods}
        self.problems = problems
        self.done: dict[int, Made] = {}
        self.told: set[tuple[str, str]] = set()

    def cell(self, index: int, below: tuple[str, ...] = ()) -> Made:
        if index not in self.done:
            self.done[index] = self._linked(self.cells[index], below)
        return self.done[index]

    def _linked(self, cell: Made, below: tuple[str, ...]) -> Made:
        parent = cell.config.strategy.parent
        if parent is None or not parent.method:
            return _with_foreign_parent(cell, parent)
        try:
            return _with_parents(cell, self._teacher(cell, parent, (*below, cell.method)), parent)
        except _ParentError as error:
            self._tell(cell.method, str(error))
            return cell

    def _teacher(self, cell: Made, parent: Parent, below: tuple[str, ...]) -> Made:
        if parent.method not in self.methods:
            raise _ParentError(f"unknown method '{parent.method}'; {nearest(parent.method, list(self.methods))}")
        if parent.method in below:
            raise _ParentError(f"goes round in a circle: {' -> '.join((*below, parent.method))}")
        of_method = self.by_method.get(parent.method, [])
        fitting = [index for index in of_method if _fits(self.cells[index], cell)]
        if len(fitting) != 1:
            raise _ParentError(_unclear(parent.method, cell, [self.cells[index] for index in fitting]))
        return self.cell(fitting[0], below)

    def _tell(self, method: str, text: str) -> None:
        """Once for a method, however many cells have it."""
        if (method, text) not in self.told:
            self.told.add((method, text))
            declared: Method = self.methods[method]
            self.problems.add(declared.place, f"methods.{method}.strategy", text)


def _fits(other: Made, cell: Made) -> bool:
    return all(other.axes[key] == value for key, value in cell.axes.items() if key in other.axes)


def _unclear(method: str, cell: Made, fitting: Sequence[Made]) -> str:
    axes = ", ".join(f"{key}={value}" for key, value in cell.axes.items())
    if not fitting:
        return f"method '{method}' has no cell for {axes or 'this method'}; do not exclude it there"
    shown = "; ".join(", ".join(f"{key}={value}" for key, value in other.axes.items()) for other in fitting[:_SHOWN])
    more = f" and {len(fitting) - _SHOWN} more" if len(fitting) > _SHOWN else ""
    return (
        f"method '{method}' has {len(fitting)} cells that fit {axes or 'this method'} ({shown}{more}); name a method "
        "that has one cell for each dataset"
    )


def _with_foreign_parent(cell: Made, parent: Parent | None) -> Made:
    """A run that learns from one of the results folder itself waits for it too, should it be planned."""
    if parent is None or not parent.run or parent.results:
        return cell
    return replace(cell, replicates=tuple(replace(each, sources=(parent.run,)) for each in cell.replicates))


def _with_parents(cell: Made, teacher: Made, parent: Parent) -> Made:
    if refusal := cell.config.strategy.refused_parent(teacher.config, cell.config):
        raise _ParentError(refusal)
    distinct: dict[str, Replicate] = {}
    for each in cell.replicates:
        run_id = _replicate(teacher, seed=each.seed if parent.seed == "same" else parent.seed, fold=each.fold).run_id
        run = _learning_from(cell.config, (run_id,)).model_copy(update={"seed": each.seed, "fold": each.fold})
        child = Replicate(each.seed, each.fold, run.run_id(), sources=(run_id,))
        distinct.setdefault(child.run_id, child)
    replicates = tuple(distinct.values())
    return replace(cell, config=_learning_from(cell.config, replicates[0].sources), replicates=replicates)


def _learning_from(config: RunConfig, run_ids: tuple[str, ...]) -> RunConfig:
    return config.model_copy(update={"strategy": config.strategy.with_sources(run_ids)})


def _replicate(teacher: Made, *, seed: int, fold: int | None) -> Replicate:
    known: Mapping[tuple[int, int | None], Replicate] = {(each.seed, each.fold): each for each in teacher.replicates}
    if teacher.config.protocol.selection == "last":
        fold = teacher.replicates[0].fold  # it holds no fold out: one run for all of them
    if (seed, fold) not in known:
        seeds = ", ".join(str(each) for each in sorted({each.seed for each in teacher.replicates}))
        raise _ParentError(f"method '{teacher.method}' is not trained with seed {seed} on fold {fold} (seeds {seeds})")
    return known[seed, fold]
