"""The class proxies that a run's loss had learned at its selected epoch."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainables.datasets.catalog import load_images
from trainables.errors import DataError
from trainables.export.kept_run import kept_run
from trainables.ledger import Ledger
from trainables.ledger.names import weights_key
from trainables.training import checkpoint
from trainables.training.data import run_split


@dataclass(frozen=True)
class ClassProxies:
    """Attributes:
    weights: float32 [C, K, D], raw: K centres of every class.
    class_names: [C], of the classes that it was trained on.
    """

    weights: NDArray[np.float32]
    class_names: tuple[str, ...]


def run_proxies(ledger: Ledger, run_id: str, *, cache: Path) -> ClassProxies:
    """Reads them from the weights that a run kept, and the names of their classes from its dataset.

    Args:
        cache: of decoded images.

    Raises:
        DataError: the run kept no weights, its loss has no proxies, or they do not fit its classes.
    """
    kept = kept_run(ledger, run_id)
    run, _ = kept.weights()
    content, _ = checkpoint.from_bytes(ledger.get(weights_key(run_id)))
    proxies = content.get("loss", {}).get("proxies")
    if proxies is None:
        raise DataError(f"run {run_id}: the loss '{run.loss.name}' has no proxies")
    images = load_images(run.dataset, cache=cache)
    split = run_split(run, images)
    train, val = (np.unique(images.labels[part]) for part in (split.train, split.val))
    for classes in (train, np.union1d(train, val)):
        if len(classes) * run.loss.centers == len(proxies):
            rows = proxies.float().numpy().reshape(len(classes), run.loss.centers, -1)
            return ClassProxies(rows, tuple(images.class_names[label] for label in classes))
    raise DataError(f"run {run_id}: {len(proxies)} proxies do not fit its {len(train)} training classes")
