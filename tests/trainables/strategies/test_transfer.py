"""Embedding transfer: what the student learns from, and what stays as it is."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transfer_tools import UNPLANNED, Built, student_of, train

from trainables.config import RunConfig
from trainables.ledger import Ledger
from trainables.losses import functional as F
from trainables.model import build_model
from trainables.step import Step
from trainables.strategies.transfer import Transfer, transfer_loss
from trainables.strategies.transfer_config import Transfer as TransferConfig
from trainables.training import checkpoint
from trainables.training.build import build_strategy

LOSSES = ["relaxed_contrastive", "relaxed_multi_similarity", "rkd", "pkt"]


def weights_of(strategy: Transfer) -> dict[str, torch.Tensor]:
    return dict(strategy.fit.weights()["model"])


@pytest.mark.parametrize("loss", LOSSES)
def test_dimension_reduction_by_every_loss(built: Built, loss: str) -> None:
    """64 -> 16; the first loss is the one of the untrained student on the first batches."""
    strategy = built({"loss": loss, "views": 2})
    assert strategy.teacher is not None
    before = {key: value.clone() for key, value in strategy.teacher.model.state_dict().items()}
    row = strategy.epoch()
    assert row["train_loss"] > 0
    assert strategy.fit.weights()["loss"] == {}
    assert [group["name"] for group in strategy.fit.optimizer.param_groups] == ["backbone", "head"]
    assert set(before) == set(strategy.teacher.model.state_dict())
    assert all(torch.equal(before[key], value) for key, value in strategy.teacher.model.state_dict().items())
    assert not any(parameter.requires_grad for parameter in strategy.teacher.model.parameters())
    assert not any(module.training for module in strategy.teacher.model.modules())


def test_the_student_starts_from_its_own_weights(built: Built, short_run: RunConfig) -> None:
    expected = build_model(short_run, channels=1).state_dict()
    assert all(torch.equal(value, expected[key]) for key, value in weights_of(built()).items())


def test_the_teacher_is_the_run_that_was_kept(
    built: Built, teacher: RunConfig, ledger: Ledger, private_cache: Path
) -> None:
    state, _ = checkpoint.from_bytes(ledger.get(f"artifacts/{teacher.run_id()}/weights.pt"))
    strategy = built()
    assert strategy.teacher is not None
    assert strategy.teacher.run.run_id() == teacher.run_id()
    original = build_strategy(teacher, cache=private_cache).fit  # type: ignore[attr-defined]
    original.load_weights(state)
    positions = strategy.data.split.train[:7]
    expected = original.embed(positions)
    images = strategy.data.batch(positions).contiguous(memory_format=torch.channels_last)
    got = strategy.teacher.embed(images, strategy.run)
    torch.testing.assert_close(got, expected)
    assert got.shape == (7, 64)


def test_a_step_compares_both_networks_on_the_same_two_views(built: Built) -> None:
    strategy = built({"views": 2, "sigma": 2.0}, augmentation={"crop_scale": (1, 1)})
    fit, step, batch = strategy.fit, Step(0, 0, 0), np.arange(16)
    inputs = fit.training_inputs(batch, step)
    assert inputs.shape[0] == 32
    images = strategy.data.batch(strategy.data.split.train[batch]).repeat(2, 1, 1, 1)
    mirrored = [bool(torch.equal(view, image.flip(2))) for view, image in zip(inputs, images, strict=True)]
    assert torch.equal(inputs, torch.where(torch.tensor(mirrored).view(-1, 1, 1, 1), images.flip(3), images))
    assert mirrored[:16] != mirrored[16:]
    assert torch.equal(inputs, fit.training_inputs(batch, step))
    assert strategy.teacher is not None
    embeddings = fit.model(inputs)
    expected = F.relaxed_contrastive(embeddings, strategy.teacher.model(inputs), sigma=2.0)
    got = fit.objective(inputs, embeddings, torch.zeros(16, dtype=torch.long), step)
    torch.testing.assert_close(got, expected)


def test_hard_labels_need_no_teacher(short_run: RunConfig, private_cache: Path) -> None:
    run = student_of(short_run, None, strategy={"relabel": "hard", "views": 2})
    strategy = build_strategy(run, cache=private_cache)
    assert isinstance(strategy, Transfer)
    assert strategy.teacher is None
    inputs = strategy.fit.training_inputs(np.arange(4), Step(0, 0, 0))
    embeddings, labels = strategy.fit.model(inputs), torch.tensor([0, 0, 1, 2])
    expected = F.relaxed_contrastive(embeddings, None, labels=torch.tensor([0, 0, 1, 2, 0, 0, 1, 2]))
    torch.testing.assert_close(strategy.fit.objective(inputs, embeddings, labels, Step(0, 0, 0)), expected)
    assert strategy.epoch()["train_loss"] > 0


def test_what_is_normalized_before_the_loss() -> None:
    torch.manual_seed(0)
    e, t, labels = torch.randn(6, 3) * 4, torch.randn(6, 5) * 9, torch.zeros(6, dtype=torch.long)
    unit_e, unit_t = e / e.norm(dim=1, keepdim=True), t / t.norm(dim=1, keepdim=True)
    config = TransferConfig.model_validate({"teacher": UNPLANNED, "loss": "rkd"})
    torch.testing.assert_close(transfer_loss(config, e, t, labels), F.rkd(e, unit_t))
    other = config.model_copy(update={"teacher_normalize": "none", "student_normalize": "unit"})
    torch.testing.assert_close(transfer_loss(other, e, t, labels), F.rkd(unit_e, t))


def test_a_stopped_student_goes_on_to_the_same_bits(built: Built) -> None:
    expected = built({"views": 2})
    rows = [expected.epoch(), expected.epoch()]
    stopped = built({"views": 2})
    stopped.epoch()
    state, _ = checkpoint.from_bytes(checkpoint.to_bytes(stopped.state_dict(), []))
    resumed = built({"views": 2})
    resumed.load_state_dict(state)
    row = resumed.epoch()
    figures = {"epoch", "train_loss", "val_map_at_r", "val_recall_at_1"}
    assert {key: row[key] for key in figures} == {key: rows[1][key] for key in figures}
    weights = weights_of(resumed)
    assert all(torch.equal(weights[key], value) for key, value in weights_of(expected).items())


def test_a_refit_learns_from_the_same_teacher(built: Built) -> None:
    strategy = built(protocol={"refit": True})
    while not strategy.finished:
        strategy.epoch()
    assert strategy.phase == "refit"
    assert strategy.fit.teacher is strategy.teacher  # type: ignore[attr-defined]


def test_students_become_teachers_of_other_backbones(
    teacher: RunConfig, short_run: RunConfig, ledger: Ledger, private_cache: Path
) -> None:
    """Model compression, from another results folder, by a run that was a student itself."""
    keep = {"weights": "selected"}
    first = student_of(short_run, {"run": teacher.run_id()}, backbone={"width": 4}, keep=keep)
    assert train(first, ledger, private_cache).status == "complete"
    elsewhere = Ledger.open(Path(ledger.location).parent / "elsewhere", create=True)
    source = {"run": first.run_id(), "results": ledger.location}
    second = student_of(short_run, source, backbone={"width": 6}, embedding_dim=3)
    assert train(second, elsewhere, private_cache).status == "complete"
    (row,) = elsewhere.read("runs").to_pylist()
    assert (row["loss"], row["strategy"]) == ("relaxed_contrastive", "transfer")
