"""The command tree."""

import typer

from study.cli import (
    comparing,
    datasets,
    doctor,
    evaluating,
    exporting,
    importing,
    inspecting,
    invalidating,
    picturing,
    planning,
    publishing,
    report_command,
    reporting,
    running,
)

app = typer.Typer(
    name="dml-study",
    help="Hyperparameter studies for deep metric learning: one YAML file in, paper-style tables out.",
    epilog="Start with `dml-study init my-study.yaml`, or try `dml-study run demo`.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

app.command("init", rich_help_panel="Write a study")(planning.init)
app.command("schema", rich_help_panel="Write a study")(planning.schema)
app.command("check", rich_help_panel="Write a study")(running.check)
app.command("plan", rich_help_panel="Write a study")(planning.plan)
app.command("run", rich_help_panel="Run it")(running.run)
app.command("status", rich_help_panel="Run it")(inspecting.status)
app.command("invalidate", rich_help_panel="Run it")(invalidating.invalidate)
app.command("show", rich_help_panel="Look at runs")(inspecting.show)
app.command("logs", rich_help_panel="Look at runs")(inspecting.logs)
app.command("debug", rich_help_panel="Look at runs")(running.debug)
app.command("reproduce", rich_help_panel="Look at runs")(running.reproduce)
app.command("table", rich_help_panel="Results")(reporting.table)
app.command("compare", rich_help_panel="Results")(comparing.compare)
app.command("plot", rich_help_panel="Results")(reporting.plot)
app.command("plot-run", rich_help_panel="Results")(picturing.plot_run)
app.command("report", rich_help_panel="Results")(report_command.report)
app.command("published", rich_help_panel="Results")(publishing.published)
app.command("evaluate", rich_help_panel="Results")(evaluating.evaluate)
app.add_typer(exporting.app, name="export", rich_help_panel="Results")
app.command("import", rich_help_panel="Results")(importing.import_)
app.add_typer(datasets.app, name="datasets", rich_help_panel="This machine")
app.command("doctor", rich_help_panel="This machine")(doctor.doctor)


@app.callback(invoke_without_command=True)
def _root(
    version: bool = typer.Option(False, "--version", help="Print the version and exit.", is_eager=True),
) -> None:
    if version:
        from importlib.metadata import version as installed

        typer.echo(f"dml-study {installed('dml-study')}")
        raise typer.Exit
