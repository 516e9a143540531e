"""The same number of trials that do nothing in plain Ray Tune, with its default loggers; `driver_5000.py` calls it.

    python benchmarks/plain_tune.py FOLDER --trials 5000 [--reuse] [--kill-at 2500] [--restore]

Writes what happened into FOLDER: `started` and `ended` hold the time of each trial's start and end.
"""

import argparse
import os
import signal
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
os.environ.setdefault("RAY_AUTH_MODE", "disabled")

import ray
from ray import tune


class Nothing(tune.Trainable):
    """One step, one report, like a run of one epoch."""

    def setup(self, config: dict[str, Any]) -> None:
        """Nothing."""

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        return True

    def step(self) -> dict[str, Any]:
        return {"epoch": 1, "done": True, "status": "complete", "run_id": str(self.config["number"])}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Nothing."""


class Notes(tune.Callback):
    """Writes down when trials start and end, and ends this process where it was asked to."""

    def __init__(self, folder: Path, kill_at: int) -> None:
        self.folder, self.kill_at, self.ended = folder, kill_at, 0

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._note("started", trial)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._note("ended", trial)
        self.ended += 1
        if self.ended == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def _note(self, name: str, trial: Any) -> None:
        with (self.folder / name).open("a") as file:
            file.write(f"{time.time()} {trial.config['number']}\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--trials", type=int, required=True)
    parser.add_argument("--cpus", type=int, required=True)
    parser.add_argument("--reuse", action="store_true", help="reuse_actors=True")
    parser.add_argument("--kill-at", type=int, default=0, help="trials after which this process kills itself")
    parser.add_argument("--restore", action="store_true", help="go on where the same command was killed")
    arguments = parser.parse_args()
    ray.init(
        address="local",
        include_dashboard=False,
        log_to_driver=False,
        logging_level="error",
        num_cpus=arguments.cpus,
        num_gpus=0,
        object_store_memory=200 * 2**20,
    )
    try:
        (restored if arguments.restore else fresh)(arguments).fit()
    finally:
        ray.shutdown()


def fresh(arguments: argparse.Namespace) -> tune.Tuner:
    return tune.Tuner(
        tune.with_resources(Nothing, {"cpu": 1}),
        param_space=space(arguments),
        tune_config=tune.TuneConfig(reuse_actors=arguments.reuse),
        run_config=tune.RunConfig(
            name="nothing",
            storage_path=str(arguments.folder.resolve()),
            verbose=0,
            callbacks=[Notes(arguments.folder.resolve(), arguments.kill_at)],
        ),
    )


def restored(arguments: argparse.Namespace) -> tune.Tuner:
    path = str(arguments.folder.resolve() / "nothing")
    return tune.Tuner.restore(path, tune.with_resources(Nothing, {"cpu": 1}), param_space=space(arguments))


def space(arguments: argparse.Namespace) -> dict[str, Any]:
    return {"number": tune.grid_search(list(range(arguments.trials)))}


if __name__ == "__main__":
    main()
