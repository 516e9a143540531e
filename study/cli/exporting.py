"""`dml-study export ...`: what a study made, in formats that other tools read."""

import typer

from study.cli import export_model, export_trackers

app = typer.Typer(no_args_is_help=True, help="Write models, embeddings and whole studies for other tools.")

app.command("model")(export_model.model)
app.command("embeddings")(export_model.embeddings)
app.command("optuna")(export_trackers.optuna)
app.command("tensorboard")(export_trackers.tensorboard)
app.command("mlflow")(export_trackers.mlflow)
app.command("wandb")(export_trackers.wandb)
