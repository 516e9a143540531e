"""One sentence per fact about how the numbers were made: data, network, selection of the epoch."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from analysis.labels import enumeration, value_text
from analysis.loading import Results
from analysis.metrics import describe

if TYPE_CHECKING:
    import pandas as pd


def protocol_notes(results: Results, replicates: "pd.DataFrame") -> list[str]:
    """What the runs of these replicates have in common, and where they differ; from their own configurations."""
    keys = set(zip(replicates["study"], replicates["run_id"], strict=True))
    runs = results.runs
    used = runs[[key in keys for key in zip(runs["study"], runs["run_id"], strict=True)]]
    used = used[used["status"] == "complete"]
    trained = used[used["strategy"] != "untrained"]
    sentences = [
        _sentence("Data", _texts(used, ["dataset", "dataset_revision", "dataset.image_size"], _dataset)),
        _sentence("Network", _texts(trained, ["backbone", "backbone.trainable", "embedding_dim"], _network)),
        _sentence("Epoch", _texts(trained, [f"protocol.{key}" for key in _SELECTION], _selection)),
        _sentence("Distance", _texts(used, ["protocol.distance"], value_text)),
    ]
    return [*filter(None, [" ".join(filter(None, sentences))]), *_conflicts(used)]


_SELECTION = ("selection", "select_by", "validation_folds", "refit")


def _texts(runs: "pd.DataFrame", columns: Sequence[str], write: Any) -> list[str]:
    """One text per distinct combination of the columns, in order of appearance."""
    known = runs.reindex(columns=list(columns)).drop_duplicates()
    texts = [write(*values) for values in known.itertuples(index=False, name=None)]
    return list(dict.fromkeys(filter(None, texts)))


def _sentence(subject: str, texts: Sequence[str]) -> str:
    return f"{subject}: {enumeration(texts)}." if texts else ""


def _dataset(title: Any, revision: Any, image_size: Any) -> str:
    details = [f"revision {str(revision)[:12]}"] if value_text(revision) else []
    details += [f"{int(image_size)} px"] if value_text(image_size) else []
    return value_text(title) + (f" ({', '.join(details)})" if details else "")


def _network(backbone: Any, trainable: Any, embedding_dim: Any) -> str:
    frozen = ", frozen" if trainable is False or trainable == 0 else ""
    width = f", embedding dimension {int(embedding_dim)}" if value_text(embedding_dim) else ""
    return f"{value_text(backbone)}{frozen}{width}"


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
