"""Models joined side by side: the metrics are those of the concatenated embeddings, computed by hand."""

from pathlib import Path

import pytest
import torch

from trainables.config import RunConfig
from trainables.datasets.catalog import resolve
from trainables.datasets.config import Glyphs
from trainables.errors import DataError
from trainables.evaluation import retrieval_metrics
from trainables.ledger import MissingKeyError
from trainables.ledger.names import embeddings_key
from trainables.strategies.ensemble import FoldEnsemble
from trainables.strategies.ensemble_config import FoldEnsemble as FoldEnsembleConfig
from trainables.testing.runs import changed
from trainables.training import checkpoint
from trainables.training.build import build_strategy

MEMBERS = ("0" * 16, "1" * 16, "2" * 16)
DIMENSIONS = 6


@pytest.fixture
def run(private_cache: Path) -> RunConfig:
    dataset = resolve(Glyphs(classes=16, images_per_class=5, image_size=16), search=(), cache=private_cache)
    return RunConfig(dataset=dataset, strategy=FoldEnsembleConfig(members=MEMBERS), embedding_dim=3 * DIMENSIONS)


def stored(images: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    lengths = (0.4, 1.0, 30.0)  # one model must not drown the others
    return {
        embeddings_key(run_id): length * torch.randn(images, DIMENSIONS, generator=generator)
        for run_id, length in zip(MEMBERS, lengths, strict=True)
    }


def built(run: RunConfig, cache: Path, content: dict[str, torch.Tensor]) -> FoldEnsemble:
    def artifacts(key: str) -> bytes:
        if key not in content:
            raise MissingKeyError(key)
        validation = {"map_at_r": {MEMBERS[0]: 0.25, MEMBERS[1]: 0.5, MEMBERS[2]: 0.9}[key.split("/")[1]]}
        return checkpoint.to_bytes({"embeddings": content[key], "validation": validation}, [])

    strategy = build_strategy(run, cache=cache, artifacts=artifacts)
    assert isinstance(strategy, FoldEnsemble)
    strategy.epoch()
    assert strategy.finished and strategy.epochs_done == 0
    return strategy


def side_by_side(parts: list[torch.Tensor], distance: str) -> torch.Tensor:
    rows = []
    for image in range(len(parts[0])):
        row: list[float] = []
        for part in parts:
            norm = float(part[image].square().sum().sqrt())
            divisor = {"cosine": norm, "lipschitz": max(norm, 1.0), "euclidean": 1.0}[distance]
            row += (part[image] / divisor).tolist()
        rows.append(row)
    return torch.tensor(rows)


@pytest.mark.parametrize("distance", ["cosine", "lipschitz", "euclidean"])
def test_metrics_are_those_of_the_models_side_by_side(run: RunConfig, private_cache: Path, distance: str) -> None:
    run = changed(run, protocol={"distance": distance})
    content = stored(images=40)
    strategy = built(run, private_cache, content)
    outcome = strategy.outcome()
    labels = torch.from_numpy(strategy.data.split.test_labels)
    joined = side_by_side(list(content.values()), distance)
    shown = "cosine" if distance == "cosine" else "euclidean"
    if distance == "lipschitz":  # the whole is brought to a length of at most 1 again
        joined = joined / joined.norm(dim=1, keepdim=True).clamp(min=1)
    expected = retrieval_metrics(joined, labels, ks=(1, 2, 4, 8), distance=shown)
    assert outcome.test == pytest.approx(expected, abs=1e-6)
    assert outcome.selected_epoch is None and outcome.validation == {"map_at_r": pytest.approx(0.55)}
    assert outcome.test_embeddings is not None and outcome.test_embeddings.shape == (40, 18)
    assert len(outcome.classes) == 8


def test_every_model_counts_as_much_as_the_others_under_cosine(run: RunConfig, private_cache: Path) -> None:
    content = stored(images=40)
    scaled = {
        key: 100 * value if key.endswith(f"{MEMBERS[0]}/test_embeddings.pt") else value
        for key, value in content.items()
    }
    first = built(run, private_cache, content).outcome().test
    assert built(run, private_cache, scaled).outcome().test == pytest.approx(first, abs=1e-6)
    alone = retrieval_metrics(
        content[embeddings_key(MEMBERS[2])], torch.arange(8).repeat_interleave(5), ks=(1, 2, 4, 8)
    )
    assert first != pytest.approx(alone)


def test_embeddings_that_are_not_there_or_of_other_images_are_named(run: RunConfig, private_cache: Path) -> None:
    content = stored(images=40)
    del content[embeddings_key(MEMBERS[1])]
    with pytest.raises(DataError, match=f"artifacts/{MEMBERS[1]}/test_embeddings.pt.*retry-failed"):
        built(run, private_cache, content).outcome()
    with pytest.raises(DataError, match="has 39 embeddings for 40 test images"):
        built(run, private_cache, stored(images=39)).outcome()


def test_the_id_names_models_and_measure_and_nothing_that_their_ids_say_already(run: RunConfig) -> None:
    same = changed(run, training={"epochs": 3, "batch_size": 16}, seed=7, embedding_dim=5)
    assert same.run_id() == run.run_id()
    assert changed(run, protocol={"distance": "euclidean"}).run_id() != run.run_id()
    other = run.model_copy(update={"strategy": FoldEnsembleConfig(members=MEMBERS[:2])})
    assert other.run_id() != run.run_id()


def test_models_that_measured_different_k_share_the_others(run: RunConfig, private_cache: Path) -> None:
    """k is no part of a run's id: a model that is trained again may have fewer."""
    strategy = built(run, private_cache, stored(images=40))
    kept = [{"validation": {"map_at_r": 0.2, "recall_at_4": 0.5}}, {"validation": {"map_at_r": 0.4}}]
    vars(strategy)["_members"] = kept
    assert strategy.validation() == {"map_at_r": pytest.approx(0.3)}
