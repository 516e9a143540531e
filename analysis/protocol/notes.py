"""One sentence per fact about how the numbers were made: data, crops, network, training, selection of the epoch."""

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from analysis.cells import UNTRAINED
from analysis.labels import enumeration, value_text
from analysis.loading import Results
from analysis.loading.widening import rows_of, without_replicate
from analysis.protocol.devices import device_note
from analysis.protocol.facts import CROPS, EPOCH, NETWORK, TRAINING, Config, at, crop_size, evaluation_crop
from analysis.protocol.sentences import Used, told

if TYPE_CHECKING:
    import pandas as pd

    from analysis.cells import CellKey


def protocol_notes(results: Results, replicates: "pd.DataFrame") -> list[str]:
    """What the runs of these replicates have in common, and where they differ; from their own configurations.

    A warning where they were trained on different types of devices.
    """
    keys, runs = set(rows_of(replicates, "study", "run_id")), results.runs
    used = runs[[key in keys for key in rows_of(runs, "study", "run_id")]]
    used = used[used["status"] == "complete"]
    line = " ".join(filter(None, _sentences(used)))
    return [*filter(None, [line, device_note(used)]), *_conflicts(used)]


def protocol_line(results: Results, cells: "Iterable[CellKey]") -> str:
    """The sentences of `protocol_notes` in one text, for what a figure shows.

    Args:
        cells: (study, index in its plan) of the cells that are drawn.
    """
    keys, replicates = set(cells), results.replicates
    shown = [key in keys for key in rows_of(replicates, "study", "cell")]
    return " ".join(protocol_notes(results, replicates[shown]))


def _sentences(used: "pd.DataFrame") -> list[str]:
    runs = used_runs(used)
    trained = [run for run in runs if at(run.config, "strategy.name") != UNTRAINED]
    return [
        _sentence("Data", _texts(used, _DATASET, _dataset)),
        _sentence("Crops", [told(CROPS, _views(runs, trained))]),
        *(_sentence(subject, [told(facts, trained)]) for subject, facts in _TOLD.items()),
        _sentence("Test classes", list(dict.fromkeys(_looks(run.config) for run in trained))),
        _sentence("Distance", _texts(used, ["protocol.distance"], value_text)),
    ]


def used_runs(used: "pd.DataFrame") -> list[Used]:
    """Rows of runs whose configuration is known, as JSON; one for all that differ in seed and fold alone."""
    columns = used[["dataset", "method", "config"]].dropna(subset="config").astype(str)
    return distinct_runs(rows_of(columns, "dataset", "method", "config"))


def distinct_runs(rows: Iterable[tuple[str, str, str]]) -> list[Used]:
    """`used_runs` of (dataset, method, configuration as JSON)."""
    distinct = {(dataset, method, without_replicate(text)): text for dataset, method, text in rows}
    return [Used(dataset, method, json.loads(text)) for (dataset, method, _), text in distinct.items()]


def _views(runs: Sequence[Used], trained: Sequence[Used]) -> list[Used]:
    """Without untrained networks that see images as trained ones do in evaluation."""
    seen = {(evaluation_crop(run.config), crop_size(run.config)) for run in trained}
    return [run for run in runs if run in trained or (evaluation_crop(run.config), crop_size(run.config)) not in seen]


_TOLD = {"Network": NETWORK, "Training": TRAINING, "Epoch": EPOCH}
_DATASET = ("dataset", "dataset_revision", "dataset.image_size", "dataset.resize")
_RESIZED = {"crop": "short side and middle", "squash": "squashed", "whole": "whole"}


def _texts(runs: "pd.DataFrame", columns: Sequence[str], write: Any) -> list[str]:
    """One text per distinct combination of the columns, in order of appearance."""
    known = runs.reindex(columns=list(columns)).drop_duplicates()
    texts = [write(*values) for values in known.itertuples(index=False, name=None)]
    return list(dict.fromkeys(filter(None, texts)))


def _sentence(subject: str, texts: Sequence[str]) -> str:
    known = [text for text in texts if text]
    return f"{subject}: {enumeration(known)}." if known else ""


def _dataset(title: Any, revision: Any, image_size: Any, resize: Any) -> str:
    details = [f"revision {str(revision)[:12]}"] if value_text(revision) else []
    details += [f"{int(image_size)} px"] if value_text(image_size) else []
    details += [_RESIZED.get(resize, resize)] if value_text(resize) else []
    return value_text(title) + (f" ({', '.join(details)})" if details else "")


def _looks(config: Config) -> str:
    """Nothing where test classes are looked at once, which is what readers expect."""
    test, number = at(config, "protocol.test"), at(config, "protocol.evaluate_every", 1)
    if test != "every_eval":
        return "not looked at" if test == "never" else ""
    return f"looked at every {'epoch' if number == 1 else f'{number} epochs'}"


def _conflicts(runs: "pd.DataFrame") -> list[str]:
    """Datasets of one name and several contents: their rows must not be compared."""
    revisions = runs.groupby("dataset")["dataset_revision"].nunique()
    names = [str(name) for name in revisions[revisions > 1].index]
    if not names:
        return []
    return [f"Careful: {', '.join(names)} differs in content between runs of this table; rows are not comparable."]
