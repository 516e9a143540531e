"""`export optuna`, `tensorboard`, `mlflow` and `wandb`: whole studies for tools that show them their way."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from study.cli import options

if TYPE_CHECKING:
    from study.bridges.runs import StudyRuns
    from trainables.ledger import Ledger

Study = Annotated[
    str, typer.Argument(metavar="STUDY", help="A results folder, a spec, or the name of a study in `results/`.")
]
_EXPORTS = "exports"


def optuna(
    study: Study,
    to: Annotated[
        Path | None, typer.Option("--to", metavar="FILE", help="By default `<results>/exports/optuna.journal`.")
    ] = None,
    results: options.Results = None,
) -> None:
    """Write an Optuna journal: searches with their trials, and compared settings. optuna-dashboard opens it."""
    from study.bridges.optuna_journal import export_optuna
    from study.cli.finding import open_ledger

    ledger = open_ledger(study, results)
    target = to or _default(ledger, "optuna.journal")
    studies = export_optuna(ledger, target)
    trials = sum(len(each.trials) for each in studies)
    _wrote(f"{len(studies)} Optuna studies with {trials} trials", target)
    typer.echo(f"look at them: optuna-dashboard {_shell(target)}")


def tensorboard(
    study: Study,
    to: Annotated[
        Path | None, typer.Option("--to", metavar="FOLDER", help="By default `<results>/exports/tensorboard`.")
    ] = None,
    results: options.Results = None,
) -> None:
    """Write TensorBoard event files: curves over epochs, metrics of the selected epoch, a table of hyperparameters."""
    from study.bars import DataBars
    from study.bridges.tensorboard_events import export_tensorboard
    from study.cli.finding import open_ledger

    ledger = open_ledger(study, results)
    runs, target = _runs(ledger), to or _default(ledger, "tensorboard")
    with DataBars() as bars:
        export_tensorboard(runs, target, progress=bars)
    _wrote(f"{len(runs)} runs", target)
    typer.echo(f"look at them: tensorboard --logdir {_shell(target)}")


def mlflow(
    study: Study,
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="STORE",
            help="An SQLite file, by default `<results>/exports/mlflow.db`, or a tracking URI: http://host:5000.",
        ),
    ] = None,
    results: options.Results = None,
) -> None:
    """Bring an MLflow experiment up to date: parameters, metrics over epochs, and tags of every finished run."""
    from study.bars import DataBars
    from study.bridges.mlflow_store import export_mlflow
    from study.cli.finding import open_ledger
    from trainables.ledger.places import is_address

    ledger = open_ledger(study, results)
    runs, store = _runs(ledger), to or str(_default(ledger, "mlflow.db"))
    with DataBars() as bars:
        done = export_mlflow(runs, store, progress=bars)
    parts = [f"{done.written} runs"]
    parts += [f"{done.unchanged} stood there already"] if done.unchanged else []
    parts += [f"{done.removed} outdated ones deleted"] if done.removed else []
    _wrote(", ".join(parts), store if is_address(store) else Path(store))
    if not is_address(store):
        typer.echo(f"look at them: mlflow ui --backend-store-uri {shlex.quote(f'sqlite:///{Path(store).resolve()}')}")


def wandb(
    study: Study,
    to: Annotated[
        Path | None, typer.Option("--to", metavar="FOLDER", help="By default `<results>/exports/wandb`.")
    ] = None,
    results: options.Results = None,
) -> None:
    """Write offline runs of Weights & Biases, which `wandb sync` uploads. Nothing is sent."""
    from study.bars import DataBars
    from study.bridges.wandb_runs import export_wandb
    from study.cli.finding import open_ledger

    ledger = open_ledger(study, results)
    runs, target = _runs(ledger), to or _default(ledger, "wandb")
    with DataBars() as bars:
        export_wandb(runs, target, progress=bars)
    _wrote(f"{len(runs)} runs", target)
    typer.echo(f"upload them: wandb sync {_shell(target)}/wandb/offline-run-*")


def _default(ledger: "Ledger", name: str) -> Path:
    from study.cli.common import folder_beside

    return folder_beside(ledger.location, ledger.read_plan()["study"], _EXPORTS) / name


def _runs(ledger: "Ledger") -> "StudyRuns":
    """The runs to export; says how many are not."""
    from study.bridges.runs import StudyRuns

    runs = StudyRuns(ledger)
    if runs.unfinished:
        typer.echo(f"{runs.unfinished} runs are not finished and come with a later export", err=True)
    if runs.left:
        typer.echo(f"{runs.left} runs left the spec and are not exported", err=True)
    return runs


def _wrote(what: str, target: Path | str) -> None:
    from study.wording import relative

    typer.echo(f"wrote {what} to {relative(target)}")


def _shell(target: Path) -> str:
    from study.wording import relative

    return shlex.quote(str(relative(target)))
