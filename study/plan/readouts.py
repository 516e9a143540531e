"""What is reported of a cell's fold models: rows of their own for each reading, and the derived runs behind them."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from study.plan.identity import Replicate
from study.plan.untrained import Made
from study.spec.errors import Problems
from study.spec.settings import Setting
from study.spec.spec import Spec
from trainables.config import RunConfig
from trainables.strategies.ensemble_config import FoldEnsemble

AXIS = "readout"
"""The axis that tells a cell's readings apart."""


class _ReadoutError(Exception):
    """Why a reading is impossible, in words for the spec's author."""


def read_out(cells: Sequence[Made], spec: Spec, problems: Problems) -> list[Made]:
    """The cells; one whose protocol has a `readout` becomes one cell for each reading, on the axis `readout`.

    The reading `mean` has the replicates of the cell itself. `concat` has one derived run for each seed, which waits
    for the runs of all folds and joins their test embeddings.
    """
    found: list[Made] = []
    told: set[str] = set()
    for cell in cells:
        try:
            found.extend(_read(cell) if cell.config.strategy.trains else [cell])
        except _ReadoutError as error:
            if str(error) not in told:
                told.add(str(error))
                source = _source(cell)
                place = spec.replication.folds_place if source is None else source.source.place
                problems.add(place, "protocol.readout", str(error))
    return found


def _source(cell: Made) -> Setting | None:
    return cell.sections["protocol"].source("readout")


def _read(cell: Made) -> Iterator[Made]:
    readings = cell.config.protocol.readout
    if not readings:
        yield cell
    elif all(reading.startswith("concat") for reading in readings):
        raise _ReadoutError(
            f"'{readings[0]}' joins the models whose row is 'mean'; write readout: [mean, {readings[0]}]"
        )
    for reading in readings:
        kind, _, width = reading.partition("_")
        folds = len({each.fold for each in cell.replicates})
        expected = cell.config.embedding_dim * (folds if kind == "concat" else 1)
        if width and int(width) != expected:
            shape = f"{folds} folds of embedding_dim {cell.config.embedding_dim}"
            raise _ReadoutError(f"'{reading}' does not fit {shape}; write '{kind}_{expected}', or '{kind}'")
        read = replace(cell, axes={**cell.axes, AXIS: reading})
        yield _joined(read, folds) if kind == "concat" else read


def _joined(cell: Made, folds: int) -> Made:
    if cell.config.protocol.test == "never":
        raise _ReadoutError(
            "'concat' reads test embeddings, and protocol.test is 'never'; write protocol.test: selected"
        )
    if cell.config.protocol.selection == "last":
        raise _ReadoutError(
            "'concat' joins the models of several folds, and protocol.selection 'last' trains one model"
        )
    if folds < 2:
        raise _ReadoutError("'concat' joins the models of several folds; write `replicates: {folds: 4}`, say")
    by_seed: dict[int, list[str]] = {}
    for each in cell.replicates:
        by_seed.setdefault(each.seed, []).append(each.run_id)
    configs = [_derived(cell.config, seed, tuple(members)) for seed, members in by_seed.items()]
    replicates = tuple(
        Replicate(config.seed, None, config.run_id(), sources=config.strategy.sources) for config in configs
    )
    return replace(cell, config=configs[0], replicates=replicates)


def _derived(config: RunConfig, seed: int, members: tuple[str, ...]) -> RunConfig:
    update = {
        "strategy": FoldEnsemble(members=members),
        "embedding_dim": config.embedding_dim * len(members),
        "seed": seed,
        "fold": 0,
    }
    return config.model_copy(update=update)
