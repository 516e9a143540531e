"""A study as offline runs of Weights & Biases, for `wandb sync`. No network is used."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from study.bridges.extras import require
from study.bridges.runs import StudyRuns, TrackedRun
from study.bridges.targets import replacing_folder

if TYPE_CHECKING:
    from trainables.datasets.source import Progress

_QUIET = {"WANDB_ERROR_REPORTING": "false", "WANDB_SILENT": "true"}
_LONGEST, _LONGEST_TAG = 128, 64
"""Characters of names and of tags."""


def export_wandb(runs: StudyRuns, target: Path, *, progress: "Progress") -> None:
    """Writes `wandb/offline-run-.../` for each run; an export of the same study is replaced.

    Runs have the ids of the ledger, so that syncing twice gives no second run.

    Raises:
        ConfigError: at the target stands something else, or it cannot be written.
        DmlStudyError: the package wandb is not installed.
    """
    wandb = require("wandb", extra="wandb", environment=_QUIET)
    with replacing_folder(target, study=runs.study) as new:
        try:
            for number, run in enumerate(runs):
                progress(number, len(runs), "W&B")
                _write(wandb, run, runs.study, new)
            progress(len(runs), len(runs), "W&B")
        finally:
            wandb.teardown()  # its process has files of the folder open


def _write(wandb: Any, run: TrackedRun, study: str, folder: Path) -> None:
    made = wandb.init(
        project=project_name(study),
        id=run.run_id,
        name=str(run.name)[:_LONGEST],
        group=run.cell[:_LONGEST],
        job_type=run.row["stage"],
        tags=[run.status, run.name.method[:_LONGEST_TAG]],
        notes=run.row["error"],
        config={**run.config, "dml_study": {**run.facts, "method": run.name.method, "cell": run.cell}},
        settings=_settings(wandb, folder),
    )
    for epoch in run.epochs:
        made.log({**epoch.metrics, "_timestamp": epoch.time.timestamp()}, step=epoch.step)
    made.summary.update(run.metrics)
    made.finish(exit_code=1 if run.status == "failed" else 0)


def _settings(wandb: Any, folder: Path) -> Any:
    """Offline, whatever the environment says, and nothing about the machine that exports."""
    return wandb.Settings(
        mode="offline",
        root_dir=str(folder),
        console="off",
        silent=True,
        symlink=False,
        save_code=False,
        disable_code=True,
        disable_git=True,
        x_disable_meta=True,
        x_disable_stats=True,
        x_disable_machine_info=True,
        x_save_requirements=False,
    )


def project_name(study: str) -> str:
    """The study's name, without what W&B does not take in a project's."""
    return re.sub(r"[/\\#?%:]", "-", study)[:_LONGEST]
