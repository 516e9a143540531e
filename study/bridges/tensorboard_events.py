"""A study as TensorBoard event files: a folder per run, curves over epochs, and a table of hyperparameters."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from study.bridges.extras import require
from study.bridges.runs import StudyRuns, TrackedRun
from study.bridges.targets import distinct, file_name, replacing_folder

if TYPE_CHECKING:
    from trainables.datasets.source import Progress

_STATUS = {"complete": "STATUS_SUCCESS", "failed": "STATUS_FAILURE", "pruned": "STATUS_FAILURE"}


def export_tensorboard(runs: StudyRuns, target: Path, *, progress: "Progress") -> None:
    """Writes `<method>/<setting>/<seed>/events...` for each run; an export of the same study is replaced.

    Raises:
        ConfigError: at the target stands something else, or it cannot be written.
        DmlStudyError: the package tensorboard is not installed.
    """
    require("tensorboard", extra="tensorboard")
    paths = distinct(str(_path(run)) for run in runs.named)
    with replacing_folder(target, study=runs.study) as new:
        for number, (run, path) in enumerate(zip(runs, paths, strict=True)):
            progress(number, len(runs), "TensorBoard")
            _write(run, new / path, varied=runs.varied)
        progress(len(runs), len(runs), "TensorBoard")


def _path(run: TrackedRun) -> Path:
    return Path(*(file_name(part) for part in (run.name.method, run.name.setting, run.name.replicate) if part))


def _write(run: TrackedRun, folder: Path, *, varied: frozenset[str]) -> None:
    from tensorboard.summary.writer.record_writer import RecordWriter

    folder.mkdir(parents=True)
    with (folder / f"events.out.tfevents.{int(run.started.timestamp()):010d}.{run.run_id}").open("wb") as file:
        writer = RecordWriter(file)
        for event in _events(run, varied):
            writer.write(event.SerializeToString())


def _events(run: TrackedRun, varied: frozenset[str]) -> Iterator[Any]:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.plugins.hparams.summary_v2 import hparams_pb

    start, end = run.started.timestamp(), run.ended.timestamp()
    hparams = {"method": run.name.method, **{key: value for key, value in run.params.items() if key in varied}}
    yield Event(wall_time=start, file_version="brain.Event:2")
    yield Event(wall_time=start, summary=hparams_pb(hparams, trial_id=run.run_id, start_time_secs=start))
    for epoch in run.epochs:
        yield Event(wall_time=epoch.time.timestamp(), step=epoch.step, summary=_scalars(epoch.metrics))
    yield Event(wall_time=end, step=int(run.row["selected_epoch"] or 0), summary=_scalars(run.metrics))
    yield Event(wall_time=end, summary=_ending(_STATUS[run.status], end))


def _scalars(metrics: Mapping[str, float]) -> Any:
    from tensorboard.compat.proto.summary_pb2 import Summary

    return Summary(value=[Summary.Value(tag=key, simple_value=value) for key, value in metrics.items()])


def _ending(status: str, seconds: float) -> Any:
    """How the table of hyperparameters shows that a run ended; the module that has this needs tensorflow."""
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2

    end = plugin_data_pb2.SessionEndInfo(status=api_pb2.Status.Value(status), end_time_secs=seconds)
    described = metadata.create_summary_metadata(plugin_data_pb2.HParamsPluginData(session_end_info=end))
    value = Summary.Value(tag=metadata.SESSION_END_INFO_TAG, metadata=described, tensor=metadata.NULL_TENSOR)
    return Summary(value=[value])
