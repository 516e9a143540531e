"""Embedding transfer: which teachers are found, and which are refused with a remedy."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transfer_tools import FROZEN, UNPLANNED, Built, student_of, train

from trainables.config import RunConfig
from trainables.errors import ConfigError, DataError
from trainables.ledger import Ledger
from trainables.strategies.teacher import load_teacher
from trainables.strategies.transfer import Transfer
from trainables.strategies.transfer_config import refused_teacher
from trainables.testing.runs import changed
from trainables.training import checkpoint
from trainables.training.build import build_strategy


def errors_of(run: RunConfig, ledger: Ledger, cache: Path) -> str:
    assert train(run, ledger, cache).status == "failed"
    (row,) = [row for row in ledger.read("runs").to_pylist() if row["run_id"] == run.run_id()]
    return str(row["error"])


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
