"""`dml-study export ...`: what a study made, in formats that other tools read."""

import typer

from study.cli import export_model

app = typer.Typer(no_args_is_help=True, help="Write models, embeddings and whole studies for other tools.")

app.command("model")(export_model.model)
app.command("embeddings")(export_model.embeddings)
