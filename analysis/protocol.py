"""One sentence per fact about how the numbers were made: data, crops, network, training, selection of the epoch."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from analysis.labels import enumeration, value_text
from analysis.loading import Results
from analysis.metrics import describe

if TYPE_CHECKING:
    import pandas as pd

    from analysis.samples import CellKey


def protocol_notes(results: Results, replicates: "pd.DataFrame") -> list[str]:
    """What the runs of these replicates have in common, and where they differ; from their own configurations."""
    keys = set(zip(replicates["study"], replicates["run_id"], strict=True))
    runs = results.runs
    used = runs[[key in keys for key in zip(runs["study"], runs["run_id"], strict=True)]]
    used = used[used["status"] == "complete"]
    line = " ".join(filter(None, _sentences(used)))
    return [*filter(None, [line]), *_conflicts(used)]


def protocol_line(results: Results, cells: "Iterable[CellKey]") -> str:
    """The sentences of `protocol_notes` in one text, for what a figure shows.

    Args:
        cells: (study, index in its plan) of the cells that are drawn.
    """
    keys, replicates = set(cells), results.replicates
    shown = [key in keys for key in zip(replicates["study"], replicates["cell"], strict=True)]
    return " ".join(protocol_notes(results, replicates[shown]))


def _sentences(used: "pd.DataFrame") -> list[str]:
    trained = used[~used["strategy"].isin(["untrained", "fold_ensemble"])]
    return [
        _sentence("Data", _texts(used, _DATASET, _dataset)),
        _sentence("Crops", list(dict.fromkeys(map(_crops, used["config"])))),
        _sentence("Network", _texts(trained, _NETWORK, _network)),
        _shared("Training", _texts(trained, _TRAINING, _training)),
        _sentence("Epoch", _texts(trained, [f"protocol.{key}" for key in _SELECTION], _selection)),
        _sentence("Test classes", _texts(trained, ["protocol.test", "protocol.evaluate_every"], _looks)),
        _sentence("Distance", _texts(used, ["protocol.distance"], value_text)),
    ]


_DATASET = ("dataset", "dataset_revision", "dataset.image_size", "dataset.resize")
_NETWORK = (
    *("backbone", "backbone.architecture", "backbone.weights", "backbone.weights_revision"),
    *("backbone.trainable", "backbone.pooling", "embedding_dim"),
)
_TRAINING = ("training.epochs", "training.batch_size", "sampler.name", "sampler.images_per_class", "optimizer.name")
_SELECTION = ("selection", "select_by", "validation_folds", "refit")
_RESIZED = {"crop": "short side and middle", "squash": "squashed", "whole": "whole"}


def _texts(runs: "pd.DataFrame", columns: Sequence[str], write: Any) -> list[str]:
    """One text per distinct combination of the columns, in order of appearance."""
    known = runs.reindex(columns=list(columns)).drop_duplicates()
    texts = [write(*values) for values in known.itertuples(index=False, name=None)]
    return list(dict.fromkeys(filter(None, texts)))


def _sentence(subject: str, texts: Sequence[str]) -> str:
    known = [text for text in texts if text]
    return f"{subject}: {enumeration(known)}." if known else ""


def _shared(subject: str, texts: Sequence[str]) -> str:
    """A sentence on what all runs have in common; none where they differ, which the rows tell."""
    return _sentence(subject, texts) if len(texts) == 1 else ""


def _dataset(title: Any, revision: Any, image_size: Any, resize: Any) -> str:
    details = [f"revision {str(revision)[:12]}"] if value_text(revision) else []
    details += [f"{int(image_size)} px"] if value_text(image_size) else []
    details += [_RESIZED.get(resize, resize)] if value_text(resize) else []
    return value_text(title) + (f" ({', '.join(details)})" if details else "")


def _crops(config: Any) -> str:
    """How training and evaluation see images, from a run's configuration as JSON; empty where it is not known."""
    run: Mapping[str, Any] = json.loads(config) if isinstance(config, str) else {}
    if "augmentation" not in run:
        return ""
    crops = run["augmentation"]
    images = run["backbone"]["trainable"] and run["strategy"]["name"] != "untrained"
    training = _random(crops) if images else ""
    share, size = crops.get("test_crop", 1.0), crops.get("crop_size")
    cut = share < 1 or size is not None or run["dataset"].get("resize") == "whole"
    seen = f"the middle square of {100 * share:g} % of the short side" if cut else "whole images"
    both = f"{training} for training, {seen} for evaluation" if training else seen
    return both + (f", at {size} px" if size is not None else "")


def _random(crops: Mapping[str, Any]) -> str:
    low, high = crops["crop_scale"]
    area = f"random {100 * low:g}–{100 * high:g} % of the area" if (low, high) != (1, 1) else ""
    return " and ".join(filter(None, [area, "random mirroring" if crops["flip"] else ""]))


def _network(
    backbone: Any, architecture: Any, weights: Any, revision: Any, trainable: Any, pooling: Any, embedding_dim: Any
) -> str:
    name = " ".join(filter(None, [value_text(backbone), value_text(architecture)]))
    origin = [PurePath(weights).name] if value_text(weights) else []
    origin += [f"revision {str(revision)[:12]}"] if value_text(revision) else []
    loaded = f" (weights {', '.join(origin)})" if origin else ""
    frozen = ", frozen" if trainable is False or trainable == 0 else ""
    pooled = f", {value_text(pooling)} pooling" if value_text(pooling) not in ("", "avg") else ""
    width = f", embedding dimension {int(embedding_dim)}" if value_text(embedding_dim) else ""
    return f"{name}{loaded}{frozen}{pooled}{width}"


def _training(epochs: Any, batch_size: Any, sampler: Any, images: Any, optimizer: Any) -> str:
    if not value_text(epochs):
        return ""
    number, each = int(epochs), f", {int(images)} images per class" if value_text(images) else ""
    batches = f"{value_text(sampler)} batches of {int(batch_size)}{each}"
    return f"{number} epoch{'s' * (number != 1)} of {batches}, {value_text(optimizer)}"


def _looks(test: Any, every: Any) -> str:
    """Nothing where test classes are looked at once, which is what readers expect."""
    if test != "every_eval":
        return "not looked at" if test == "never" else ""
    number = int(every)
    return f"looked at every {'epoch' if number == 1 else f'{number} epochs'}"


def _selection(selection: Any, select_by: Any, folds: Any, refit: Any) -> str:
    if selection == "last":
        return "the last one, trained on all training classes"
    if selection != "best_validation":
        return value_text(selection)
    metric = describe(f"test_{select_by}").label
    again = ", then trained again on all training classes" if refit else ""
    return f"best {metric} on validation classes (1 of {int(folds)} folds of the training classes){again}"


def _conflicts(runs: "pd.DataFrame") -> list[str]:
    """Datasets of one name and several contents: their rows must not be compared."""
    revisions = runs.groupby("dataset")["dataset_revision"].nunique()
    names = [str(name) for name in revisions[revisions > 1].index]
    if not names:
        return []
    return [f"Careful: {', '.join(names)} differs in content between runs of this table; rows are not comparable."]
