"""Embedding transfer: what the student learns from, what stays as it is, and which teachers are refused."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from trainables.config import RunConfig
from trainables.errors import ConfigError, DataError
from trainables.ledger import Ledger
from trainables.losses import functional as F
from trainables.model import build_model
from trainables.step import Step
from trainables.strategies.teacher import load_teacher
from trainables.strategies.transfer import Transfer, transfer_loss
from trainables.strategies.transfer_config import Transfer as TransferConfig
from trainables.strategies.transfer_config import refused_teacher
from trainables.testing.runs import changed
from trainables.training import checkpoint
from trainables.training.build import build_strategy
from trainables.training.session import Session, SessionOptions

UNPLANNED = {"method": "norm-softmax"}
FROZEN = {"name": "conv4", "width": 8, "trainable": False}
LOSSES = ["relaxed_contrastive", "relaxed_multi_similarity", "rkd", "pkt"]


def student_of(run: RunConfig, teacher: dict[str, Any] | None, *, strategy: Any = None, **sections: Any) -> RunConfig:
    transfer = {"name": "transfer", "teacher": teacher, **(strategy or {})}
    return changed(run, strategy=transfer, synthesis="none", **sections)


def train(run: RunConfig, ledger: Ledger, cache: Path) -> Session:
    session = Session(run, ledger=ledger, options=SessionOptions(study="s", cache=cache, checkpoint_seconds=0))
    while not session.done:
        session.step()
    return session


def errors_of(run: RunConfig, ledger: Ledger, cache: Path) -> str:
    assert train(run, ledger, cache).status == "failed"
    (row,) = [row for row in ledger.read("runs").to_pylist() if row["run_id"] == run.run_id()]
    return str(row["error"])


@pytest.fixture
def short_run(tiny_run: RunConfig) -> RunConfig:
    return changed(tiny_run, training={"epochs": 2, "warmup_epochs": 0}, protocol={"test": "never"})


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.open(tmp_path / "results", create=True)


@pytest.fixture
def teacher(short_run: RunConfig, ledger: Ledger, private_cache: Path) -> RunConfig:
    """A run of one epoch that kept its weights: 64 dimensions."""
    run = changed(short_run, embedding_dim=64, training={"epochs": 1}, keep={"weights": "selected"})
    assert train(run, ledger, private_cache).status == "complete"
    return run


Built = Callable[..., Transfer]


@pytest.fixture
def built(teacher: RunConfig, ledger: Ledger, short_run: RunConfig, private_cache: Path) -> Built:
    """The strategy of a student of `teacher`."""

    def build(strategy: dict[str, Any] | None = None, **sections: Any) -> Transfer:
        run = student_of(short_run, {"run": teacher.run_id()}, strategy=strategy, **sections)
        built = build_strategy(run.simplified(), cache=private_cache, artifacts=ledger.get)
        assert isinstance(built, Transfer)
        return built

    return build


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


def test_a_weights_file_must_be_the_one_that_was_planned_with(
    teacher: RunConfig, short_run: RunConfig, ledger: Ledger, private_cache: Path, tmp_path: Path
) -> None:
    file = tmp_path / "teacher.pt"
    payload = ledger.get(f"artifacts/{teacher.run_id()}/weights.pt")
    file.write_bytes(payload)
    revision = hashlib.sha256(payload).hexdigest()[:16]
    run = student_of(short_run, {"weights": str(file), "weights_revision": revision})
    strategy = build_strategy(run, cache=private_cache)
    assert isinstance(strategy, Transfer)
    assert strategy.teacher is not None
    assert strategy.teacher.run.run_id() == teacher.run_id()
    file.write_bytes(payload + b" ")
    with pytest.raises(DataError, match=f"planned with {revision}: put the old file back, or plan again"):
        build_strategy(run, cache=private_cache)
    file.unlink()
    with pytest.raises(DataError, match=r"teacher.pt of the teacher: No such file"):
        build_strategy(run, cache=private_cache)
    unplanned = student_of(short_run, {"weights": str(file)})
    with pytest.raises(ConfigError, match="has no revision: take the run from a plan"):
        build_strategy(unplanned, cache=private_cache)


def test_a_teacher_that_kept_nothing_fails_its_student_and_says_what_to_do(
    short_run: RunConfig, ledger: Ledger, private_cache: Path
) -> None:
    error = errors_of(student_of(short_run, {"run": "0123456789abcdef"}), ledger, private_cache)
    assert "DataError: teacher run 0123456789abcdef in the results folder of this study kept no weights" in error
    assert f"{ledger.location}/artifacts/0123456789abcdef/weights.pt does not exist" in error
    assert "invalidate that run and train it again with keep.weights: selected" in error
    elsewhere = student_of(short_run, {"run": "f" * 16, "results": ledger.location})
    assert f"teacher run {'f' * 16} in {ledger.location} kept no weights" in errors_of(elsewhere, ledger, private_cache)


def test_a_method_that_was_never_planned(short_run: RunConfig, private_cache: Path) -> None:
    with pytest.raises(ConfigError, match="the teacher is method 'norm-softmax', and no run of it is named"):
        build_strategy(student_of(short_run, UNPLANNED), cache=private_cache)


def test_damaged_and_foreign_bytes_are_refused(built: Built, teacher: RunConfig, ledger: Ledger) -> None:
    strategy = built()
    payload = ledger.get(f"artifacts/{teacher.run_id()}/weights.pt")
    state, _ = checkpoint.from_bytes(payload)
    config = json.loads(state["config"])
    head = {key: value for key, value in state["model"].items() if key.startswith("head.")}
    three = {**state["model"], "backbone.body.0.weight": torch.zeros(8, 3, 3, 3)}
    values = payload.index(state["model"]["head.weight"].numpy().tobytes())
    flipped = payload[:values] + bytes([payload[values] ^ 1]) + payload[values + 1 :]
    foreign = {
        "has another checksum": [flipped],
        "damaged or foreign bytes": [payload[: len(payload) // 2], b"", b"not at all", payload[:50] + payload[51:]],
        r"no kept weights with their configuration, but \['loss', 'model'\]": [
            checkpoint.to_bytes({"model": state["model"], "loss": {}}, [])
        ],
        "its configuration is none of this version or its plugins": [
            checkpoint.to_bytes({**state, "config": json.dumps({**config, "loss": {"name": "from_a_plugin"}})}, []),
            checkpoint.to_bytes({**state, "config": "{"}, []),
        ],
        "does not fit a network for these images": [
            checkpoint.to_bytes({**state, "model": head}, []),
            checkpoint.to_bytes({**state, "model": three}, []),
            checkpoint.to_bytes({**state, "config": json.dumps({**config, "embedding_dim": 5})}, []),
        ],
    }
    for message, payloads in foreign.items():
        for bad in payloads:
            with pytest.raises(DataError, match=rf"^here.*{message}"):
                load_teacher(bad, place="here", student=strategy.run, data=strategy.data)


class TestFrozenBackbones:
    @pytest.fixture
    def frozen_teacher(self, short_run: RunConfig, ledger: Ledger, private_cache: Path) -> RunConfig:
        run = changed(short_run, backbone=FROZEN, embedding_dim=24, keep={"weights": "selected"})
        assert train(run, ledger, private_cache).status == "complete"
        return run

    def transfer(self, run: RunConfig, ledger: Ledger, cache: Path) -> Transfer:
        strategy = build_strategy(run, cache=cache, artifacts=ledger.get)
        assert isinstance(strategy, Transfer)
        assert strategy.teacher is not None
        return strategy

    def test_teacher_and_student_share_cached_features(
        self, frozen_teacher: RunConfig, short_run: RunConfig, ledger: Ledger, private_cache: Path
    ) -> None:
        run = student_of(short_run, {"run": frozen_teacher.run_id()}, backbone=FROZEN)
        strategy = self.transfer(run, ledger, private_cache)
        assert strategy.teacher is not None
        assert strategy.teacher.model.backbone is None
        assert strategy.epoch()["train_loss"] > 0

    def test_a_student_of_images_gives_the_teacher_its_backbone_back(
        self, frozen_teacher: RunConfig, short_run: RunConfig, ledger: Ledger, private_cache: Path
    ) -> None:
        cached = student_of(short_run, {"run": frozen_teacher.run_id()}, backbone=FROZEN)
        features = self.transfer(cached, ledger, private_cache)
        images = self.transfer(student_of(short_run, {"run": frozen_teacher.run_id()}), ledger, private_cache)
        positions = images.data.split.train[:9]
        assert features.teacher is not None
        assert images.teacher is not None
        expected = features.teacher.embed(features.data.batch(positions), cached)
        torch.testing.assert_close(images.teacher.embed(images.data.batch(positions), images.run), expected)
        assert images.epoch()["train_loss"] > 0

    @pytest.mark.parametrize(
        ("backbone", "seed", "message"),
        [
            ({"name": "conv4", "width": 8}, 0, "the teacher needs images: set backbone.trainable to true"),
            ({**FROZEN, "width": 16}, 0, "those of another frozen backbone 'conv4'"),
            (FROZEN, 1, "those of another frozen backbone 'conv4'"),  # random weights differ by seed
        ],
    )
    def test_a_student_of_features_needs_the_same_ones(
        self, short_run: RunConfig, backbone: dict[str, Any], seed: int, message: str
    ) -> None:
        teacher = changed(short_run, backbone=backbone, seed=seed)
        refusal = refused_teacher(teacher, student_of(short_run, UNPLANNED, backbone=FROZEN))
        assert refusal is not None
        assert message in refusal
        assert refused_teacher(teacher, student_of(short_run, UNPLANNED)) is None

    def test_the_refusal_comes_with_the_teachers_name(
        self, teacher: RunConfig, short_run: RunConfig, ledger: Ledger, private_cache: Path
    ) -> None:
        run = student_of(short_run, {"run": teacher.run_id()}, backbone=FROZEN)
        with pytest.raises(ConfigError, match=rf"teacher run {teacher.run_id()} .*the teacher needs images"):
            build_strategy(run, cache=private_cache, artifacts=ledger.get)

    def test_features_of_one_weights_file_are_the_same_for_every_seed(self, short_run: RunConfig) -> None:
        pretrained = {**FROZEN, "weights_revision": "0" * 16}
        teacher = changed(short_run, backbone=pretrained, seed=1)
        assert refused_teacher(teacher, student_of(short_run, UNPLANNED, backbone=pretrained)) is None


def test_an_untrained_teacher_is_refused(short_run: RunConfig) -> None:
    refusal = refused_teacher(changed(short_run, strategy="untrained"), student_of(short_run, UNPLANNED))
    assert refusal is not None
    assert "take a trained run" in refusal


@pytest.mark.parametrize(
    ("strategy", "sections", "message"),
    [
        ({}, {"synthesis": "proxy_synthesis"}, "leave synthesis at 'none'"),
        ({"views": 2}, {"backbone": FROZEN}, "set strategy.views to 1 or backbone.trainable"),
        ({"views": 2}, {"augmentation": {"crop_scale": [1, 1], "flip": False}}, "set augmentation.crop_scale or"),
        ({"teacher": None}, {}, "needs a method of this study, a run or a file of weights"),
        ({"teacher": {}}, {}, "needs exactly one of method, run and weights, has none"),
        ({"teacher": {"run": "0" * 16, "weights": "w.pt"}}, {}, "has run and weights"),
        ({"teacher": {"run": "not an id"}}, {}, "run"),
        ({"loss": "rkd", "relabel": "hard", "teacher": None}, {}, "needs a method of this study"),
        ({"loss": "rkd", "angle_weight": 0, "distance_weight": 0}, {}, "nothing is left to learn"),
        ({"sigma": 0}, {}, "sigma"),
    ],
)
def test_impossible_configurations_are_refused(
    short_run: RunConfig, strategy: dict[str, Any], sections: dict[str, Any], message: str
) -> None:
    content = {"strategy": {"name": "transfer", "teacher": UNPLANNED, **strategy}, "synthesis": "none", **sections}
    with pytest.raises(ValidationError, match=message):
        changed(short_run, **content)


@pytest.mark.parametrize(
    ("strategy", "same"),
    [
        ({"loss": "rkd", "sigma": 3, "delta": 2, "diagonal": "excluded", "relabel": "hard"}, {"loss": "rkd"}),
        ({"loss": "pkt", "student_normalize": "unit", "angle_weight": 7}, {"loss": "pkt"}),
        ({"teacher_normalize": "none", "distance_weight": 3}, {}),
        ({"distance_normalization": "none", "diagonal": "excluded"}, {"distance_normalization": "none"}),
        ({"relabel": "hard", "sigma": 5}, {"relabel": "hard", "teacher": {"run": "1" * 16}}),
        ({"teacher": {"run": "0" * 16, "method": "a", "seed": 3, "results": "r"}}, {}),
    ],
)
def test_what_the_loss_does_not_take_is_no_part_of_the_identity(
    short_run: RunConfig, strategy: dict[str, Any], same: dict[str, Any]
) -> None:
    teacher = {"run": "0" * 16}
    first = student_of(short_run, teacher, strategy=strategy, loss="proxy_anchor")
    assert first.run_id() == student_of(short_run, teacher, strategy=same).run_id()
    assert RunConfig.model_validate(first.simplified().model_dump()).run_id() == first.run_id()


@pytest.mark.parametrize(
    "strategy",
    [
        {"sigma": 2},
        {"delta": 2},
        {"diagonal": "excluded"},
        {"relabel": "hard"},
        {"views": 2},
        {"student_normalize": "unit"},
        {"distance_normalization": "global_mean"},
        {"loss": "rkd"},
        {"teacher": {"run": "1" * 16}},
    ],
)
def test_what_matters_is_part_of_the_identity(short_run: RunConfig, strategy: dict[str, Any]) -> None:
    teacher = {"run": "0" * 16}
    assert student_of(short_run, teacher).run_id() != student_of(short_run, teacher, strategy=strategy).run_id()
