"""Proxies of a run, and what it retrieves, as figures take them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from trainables.config import RunConfig
from trainables.errors import DataError
from trainables.evaluation.neighbours import nearest
from trainables.export.embeddings import run_embeddings
from trainables.export.proxies import run_proxies
from trainables.ledger import Ledger
from trainables.ledger.names import weights_key
from trainables.testing.runs import changed
from trainables.training import checkpoint
from trainables.training.data import load_run_data

Train = Callable[[RunConfig], str]


@pytest.mark.parametrize("loss", [{"name": "proxy_anchor"}, {"name": "soft_triple"}])
def test_proxies_are_those_of_the_loss_with_the_names_of_the_training_classes(
    ledger: Ledger, train: Train, run: RunConfig, private_cache: Path, loss: dict[str, str]
) -> None:
    run = changed(run, loss=loss, training={"epochs": 1})
    run_id = train(run)
    found = run_proxies(ledger, run_id, cache=private_cache)
    content, _ = checkpoint.from_bytes(ledger.get(weights_key(run_id)))
    assert np.array_equal(found.weights.reshape(-1, found.weights.shape[-1]), content["loss"]["proxies"].numpy())
    assert found.weights.shape[1] == run.loss.centers
    data = load_run_data(run, cache=private_cache)
    classes = np.unique(data.images.labels[data.split.train])
    assert found.class_names == tuple(data.images.class_names[label] for label in classes)


def test_a_loss_without_proxies_has_none(ledger: Ledger, train: Train, run: RunConfig, private_cache: Path) -> None:
    run_id = train(changed(run, loss={"name": "multi_similarity"}, synthesis={"name": "none"}, training={"epochs": 1}))
    with pytest.raises(DataError, match="the loss 'multi_similarity' has no proxies"):
        run_proxies(ledger, run_id, cache=private_cache)


def test_neighbours_of_all_queries_give_the_recall_of_the_row(
    ledger: Ledger, train: Train, run: RunConfig, private_cache: Path
) -> None:
    test = run_embeddings(ledger, train(changed(run, training={"epochs": 1})), part="test", cache=private_cache)
    rows = np.arange(len(test.positions))
    found = nearest(torch.from_numpy(test.content.embeddings), rows, rows, k=3, distance="cosine")
    assert found.shape == (len(rows), 3) and not (found == rows[:, None]).any()
    (row,) = ledger.read("runs").to_pylist()
    recall = np.mean(test.content.labels[found[:, 0]] == test.content.labels)
    assert recall == pytest.approx(row["test_recall_at_1"])
