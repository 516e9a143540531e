"""Presets of papers against the papers' numbers: one row per preset, dataset and, where it matters, method."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from study.plan import Plan, build_plan
from study.spec import load_spec
from trainables.config import RunConfig
from trainables.losses.registry import LOSSES

Values = Mapping[str, Any]
PROXY_LOSSES = sorted(
    name for name, loss in LOSSES.items() if loss.has_proxies and loss.__module__.startswith("trainables.")
)

INCEPTION = {
    "backbone.name": "bn_inception",
    "backbone.weights": "bn_inception-52deb4733.pth",
    "backbone.mean": (104, 117, 128),
    "backbone.trainable": True,
    "augmentation.flip": True,
    "augmentation.crop_ratio": pytest.approx((3 / 4, 4 / 3)),
    "augmentation.crop_scale": (0.08, 1),
    "augmentation.crop_size": 224,
    "augmentation.test_crop": pytest.approx(224 / 256),
    "training.precision": "float32",
    "training.lr_warmup_epochs": 0,
    "training.steps_per_epoch": None,
    "training_set.label_noise": 0,
    "protocol.selection": "best_validation",
    "protocol.validation_folds": 4,
    "protocol.patience": None,
    "protocol.test": "selected",
}

SYNTHESIS = {
    **INCEPTION,
    "backbone.pooling": "avg",
    "backbone.batch_norm": "frozen_statistics",
    "head.bias": True,
    "head.init": "default",
    "embedding_dim": 512,
    "sampler.name": "shuffled",
    "sampler.drop_last": False,
    "optimizer.name": "adam",
    "optimizer.lr": 1e-4,
    "optimizer.eps": 0.01,
    "optimizer.weight_decay": 1e-4,
    "optimizer.proxy_lr_multiplier": 100,
    "optimizer.head_lr_multiplier": 1,
    "schedule.name": "step",
    "schedule.every": 49,
    "schedule.until": 49,
    "schedule.gamma": 0.1,
    "training.epochs": 130,
    "training.batch_size": 128,
    "training.warmup_epochs": 0,
    "training.clip_value": None,
    "training.clip_norm": None,
    "protocol.select_by": "map_at_r",
    "protocol.evaluate_every": 5,
    "protocol.refit": True,
    "protocol.distance": "cosine",
    "protocol.ks": (1, 2, 4, 8),
    "seeds": tuple(range(8)),
    "folds": (0,),
}

MEMVIR = {
    **{key: value for key, value in SYNTHESIS.items() if not key.startswith("schedule.")},
    "schedule.name": "constant",
    "training.epochs": 2000,
    "protocol.evaluate_every": 10,
    "seeds": tuple(range(5)),
}

ANCHOR = {
    **INCEPTION,
    "backbone.pooling": "avg+max",
    "backbone.batch_norm": "frozen_statistics",
    "backbone.momentum": 0.9,
    "head.bias": True,
    "head.init": "kaiming",
    "embedding_dim": 512,
    "loss.scale": 32,
    "loss.margin": 0.1,
    "loss.proxy_init": "kaiming_normal",
    "sampler.name": "shuffled",
    "sampler.drop_last": True,
    "optimizer.name": "adamw",
    "optimizer.lr": 1e-4,
    "optimizer.eps": 1e-8,
    "optimizer.weight_decay": 1e-4,
    "optimizer.proxy_lr_multiplier": 100,
    "optimizer.head_lr_multiplier": 1,
    "schedule.name": "step",
    "schedule.every": 10,
    "schedule.gamma": 0.5,
    "schedule.until": None,
    "training.epochs": 60,
    "training.batch_size": 180,
    "training.warmup_epochs": 1,
    "training.clip_value": 10,
    "training.clip_norm": None,
    "protocol.select_by": "recall_at_1",
    "protocol.evaluate_every": 1,
    "protocol.refit": True,
    "protocol.distance": "cosine",
    "protocol.ks": (1, 2, 4, 8, 16, 32),
    "seeds": tuple(range(5)),
}
ANCHOR_LARGE = {
    **ANCHOR,
    "optimizer.lr": 6e-4,
    "schedule.every": 20,
    "schedule.gamma": 0.25,
    "backbone.batch_norm": "train",
}
RESNET50 = {
    **{key: value for key, value in ANCHOR.items() if not key.startswith("backbone.")},
    "backbone.name": "resnet50",
    "backbone.weights": "resnet50.pth",
    "backbone.preprocessing": "imagenet",
    "backbone.pooling": "avg+max",
    "backbone.batch_norm": "frozen_statistics",
    "training.batch_size": 120,
    "training.warmup_epochs": 5,
    "schedule.every": 5,
}

CCP = {
    **INCEPTION,
    "backbone.mean": pytest.approx((255 * 0.406, 255 * 0.456, 255 * 0.485), abs=0.01),
    "backbone.pooling": "avg",
    "backbone.batch_norm": "frozen",
    "head.bias": False,
    "head.init": "xavier",
    "embedding_dim": 128,
    "augmentation.crop_scale": (0.16, 1),
    "augmentation.crop_size": 227,
    "augmentation.test_crop": pytest.approx(227 / 256),
    "sampler.name": "balanced",
    "sampler.images_per_class": 4,
    "optimizer.name": "adam",
    "optimizer.lr": 1e-5,
    "optimizer.weight_decay": 1e-4,
    "optimizer.proxy_lr_multiplier": 1,
    "optimizer.head_lr_multiplier": 1,
    "schedule.name": "constant",
    "training.batch_size": 32,
    "training.steps_per_epoch": 25,
    "training.warmup_epochs": 0,
    "training.clip_norm": 10,
    "training.clip_value": 10,
    "protocol.partition": "contiguous",
    "protocol.select_by": "map_at_r",
    "protocol.evaluate_every": 1,
    "protocol.patience": 60,
    "protocol.refit": False,
    "protocol.distance": "lipschitz",
    "protocol.ks": (1, 2, 4, 8),
    "protocol.readout": ("mean", "concat"),
    "folds": (0, 1, 2, 3),
}
CCP_LARGE = {**{key: value for key, value in CCP.items() if key != "protocol.ks"}, "training.steps_per_epoch": 250}
CCP_PROXIES = {"sampler.images_per_class": 1, "training.warmup_epochs": 1, "optimizer.proxy_lr_multiplier": 100}
CCP_STRATEGY = {
    "strategy.proxies_per_class": 8,
    "strategy.pool_size": 12,
    "strategy.proximal_weight": 2e-4,
    "strategy.proximal_decay": 1,
    "strategy.patience": 3,
    "strategy.min_epochs": 1,
    "strategy.min_delta": 1e-5,
    "strategy.proxy_weight": 1,
    "strategy.pair_weight": 0.1,
}

TRANSFER = {
    **INCEPTION,
    "backbone.pooling": "avg+max",
    "backbone.batch_norm": "train",
    "backbone.momentum": 0.9,
    "head.bias": True,
    "head.init": "orthogonal",
    "embedding_dim": 512,
    "strategy.loss": "relaxed_contrastive",
    "strategy.sigma": 1,
    "strategy.delta": 1,
    "strategy.views": 2,
    "sampler.name": "balanced",
    "sampler.images_per_class": 2,
    "optimizer.name": "adamw",
    "optimizer.lr": 1e-4,
    "optimizer.eps": 1e-8,
    "optimizer.weight_decay": 1e-4,
    "optimizer.proxy_lr_multiplier": 1,
    "optimizer.head_lr_multiplier": 1,
    "schedule.name": "cosine",
    "training.epochs": 90,
    "training.batch_size": 90,
    "training.warmup_epochs": 0,
    "protocol.select_by": "recall_at_1",
    "protocol.evaluate_every": 1,
    "protocol.refit": False,
    "protocol.distance": "euclidean",
    "protocol.ks": (1, 2, 4, 8),
}

LOG_RATIO = {
    "dataset.image_size": 288,
    "backbone.name": "resnet34",
    "backbone.weights": "resnet34.pth",
    "backbone.preprocessing": "caffe",
    "backbone.pooling": "avg",
    "backbone.batch_norm": "train",
    "head.bias": True,
    "head.init": "kaiming",
    "embedding_dim": 128,
    "loss.embedding_power": 1,
    "sampler.name": "dense",
    "sampler.nearest": 5,
    "sampler.anchors_per_epoch": None,
    "augmentation.crop_scale": pytest.approx(((200 / 288) ** 2, (248 / 288) ** 2), abs=1e-3),
    "augmentation.crop_ratio": (1, 1),
    "augmentation.crop_size": 224,
    "augmentation.test_crop": pytest.approx(224 / 288),
    "augmentation.flip": False,
    "optimizer.name": "sgd",
    "optimizer.lr": 0.01,
    "optimizer.momentum": 0.9,
    "optimizer.nesterov": False,
    "optimizer.weight_decay": 5e-4,
    "schedule.name": "inverse_time",
    "schedule.decay": 1e-4,
    "training.epochs": 30,
    "training.batch_size": 150,
    "training.steps_per_epoch": None,
    "training.warmup_epochs": 0,
    "training.precision": "float32",
    "protocol.select_by": "label_distance_at_10",
    "protocol.evaluate_every": 1,
    "protocol.patience": None,
    "protocol.distance": "euclidean",
    "protocol.label_ks": (*range(1, 11), *range(20, 101, 10)),
}

ROWS: list[tuple[str, str, str, Values]] = [
    ("proxy_synthesis", "cub200", "loss: norm_softmax", {**SYNTHESIS, "loss.scale": 23}),
    ("proxy_synthesis", "cars196", "loss: proxy_nca", {**SYNTHESIS, "loss.scale": 12}),
    (
        "proxy_synthesis",
        "cars196",
        "loss: norm_softmax, synthesis: proxy_synthesis",
        {
            **SYNTHESIS,
            "loss.proxy_init": "kaiming_uniform",
            "synthesis.ratio": 1,
            "synthesis.mixup_alpha": 0.4,
        },
    ),
    ("proxy_synthesis", "sop", "loss: norm_softmax", {**SYNTHESIS, "protocol.ks": (1, 10, 100, 1000)}),
    ("proxy_synthesis", "inshop", "loss: norm_softmax", {**SYNTHESIS, "protocol.ks": (1, 10, 20, 40)}),
    (
        "memvir",
        "cars196",
        "loss: norm_softmax, synthesis: memvir",
        {
            **MEMVIR,
            "loss.scale": 23,
            "loss.proxy_init": "kaiming_uniform_fan_out",
            "synthesis.steps": 45,
            "synthesis.gap": 10,
            "synthesis.warmup_epochs": 40,
        },
    ),
    (
        "memvir",
        "cars196",
        "loss: proxy_nca, synthesis: memvir",
        {
            **MEMVIR,
            "loss.scale": 12,
            "loss.proxy_init": "kaiming_normal_fan_in",
            "synthesis.steps": 20,
            "synthesis.gap": 25,
            "synthesis.warmup_epochs": 40,
        },
    ),
    ("memvir", "cub200", "loss: proxy_anchor", {**MEMVIR, "loss.proxy_init": "kaiming_normal"}),
    ("memvir", "sop", "loss: norm_softmax", {**MEMVIR, "protocol.ks": (1, 10, 100, 1000)}),
    ("memvir", "inshop", "loss: norm_softmax", {**MEMVIR, "protocol.ks": (1, 10, 20, 40)}),
    ("proxy_anchor", "cub200", "loss: proxy_anchor", ANCHOR),
    ("proxy_anchor", "cars196", "loss: proxy_anchor", {**ANCHOR, "schedule.every": 20}),
    ("proxy_anchor", "sop", "loss: proxy_anchor", {**ANCHOR_LARGE, "protocol.ks": (1, 10, 100, 1000)}),
    ("proxy_anchor", "inshop", "loss: proxy_anchor", {**ANCHOR_LARGE, "protocol.ks": (1, 10, 20, 30, 40, 50)}),
    ("proxy_anchor", "cub200", "loss: proxy_anchor, backbone: resnet50", RESNET50),
    ("proxy_anchor", "cars196", "loss: proxy_anchor, backbone: resnet50", {**RESNET50, "schedule.every": 10}),
    ("ccp", "cub200", "loss: contrastive", CCP),
    ("ccp", "cub200", "loss: contrastive, strategy: ccp", {**CCP, **CCP_STRATEGY}),
    ("ccp", "cars196", "loss: triplet, strategy: ccp", {**CCP, **CCP_STRATEGY}),
    (
        "ccp",
        "sop",
        "loss: contrastive, strategy: ccp",
        {
            **CCP_LARGE,
            **CCP_STRATEGY,
            "strategy.proxies_per_class": 4,
            "strategy.pool_size": 7,
            "protocol.ks": (1, 10, 100, 1000),
        },
    ),
    (
        "ccp",
        "inshop",
        "loss: contrastive, strategy: {name: ccp, proxies_per_class: 1, pool_size: 1}",
        {**CCP_LARGE, "strategy.proxies_per_class": 1, "strategy.pool_size": 1, "protocol.ks": (1, 10, 20, 40)},
    ),
    ("ccp", "cub200", "loss: contrastive, synthesis: xbm", {**CCP, "synthesis.warmup_epochs": 1000 / 25}),
    ("ccp", "inshop", "loss: contrastive, synthesis: xbm", {**CCP_LARGE, "synthesis.warmup_epochs": 1000 / 250}),
    *(("ccp", "cub200", f"loss: {name}", {**CCP, **CCP_PROXIES}) for name in PROXY_LOSSES),
    ("ccp", "inshop", "loss: proxy_anchor", {**CCP_LARGE, **CCP_PROXIES}),
    ("relaxed_contrastive", "cub200", "strategy: {name: transfer, teacher: {method: t}}", TRANSFER),
    ("relaxed_contrastive", "cars196", "strategy: {name: transfer, teacher: {method: t}}", TRANSFER),
    (
        "relaxed_contrastive",
        "sop",
        "strategy: {name: transfer, teacher: {method: t}}",
        {**TRANSFER, "training.epochs": 150, "protocol.ks": (1, 10, 100, 1000)},
    ),
    ("log_ratio", "pose", "loss: log_ratio", LOG_RATIO),
]


def plan_of(preset: str, dataset: str, method: str, folder: Path) -> Plan:
    file = folder / "spec.yaml"
    file.write_text(
        f"study: x\nextends: {preset}\nuntrained: false\n"
        "datasets: {pose: {name: image_folder, path: pose.csv, target_columns: [x]}}\n"
        f"settings: {{dataset: {dataset}}}\n"
        f"methods:\n  m: {{{method}}}\n" + ("  t: {loss: proxy_anchor}\n" if "teacher" in method else "")
    )
    return build_plan(load_spec(file), resolve_data=False)


def value(config: RunConfig, key: str) -> Any:
    section, _, field = key.partition(".")
    found = getattr(config, section)
    return getattr(found, field) if field else found


@pytest.mark.parametrize(("preset", "dataset", "method", "expected"), ROWS, ids=lambda item: str(item)[:40])
def test_a_preset_has_the_numbers_of_its_paper(
    preset: str, dataset: str, method: str, expected: Values, tmp_path: Path
) -> None:
    plan = plan_of(preset, dataset, method, tmp_path)
    cell = next(cell for cell in plan.cells if cell.method == "m")
    replicates = {
        "seeds": tuple(sorted({each.seed for each in cell.replicates})),
        "folds": tuple(sorted({each.fold for each in cell.replicates})),
    }
    found = {key: replicates[key] if key in replicates else value(cell.config, key) for key in expected}
    assert found == expected
    assert [warning for warning in plan.warnings if "different embeddings" not in warning] == []


def test_a_study_wins_over_the_numbers_of_a_dataset(tmp_path: Path) -> None:
    config = plan_of("proxy_anchor", "sop, optimizer.lr: 0.5", "loss: proxy_anchor, schedule: cosine", tmp_path)
    (cell,) = config.cells
    assert (cell.config.optimizer.lr, cell.config.schedule.name) == (0.5, "cosine")
    assert cell.config.backbone.batch_norm == "train"


def test_an_instance_of_ccp_ends_after_75_steps_without_improvement(tmp_path: Path) -> None:
    config = plan_of("ccp", "cub200", "loss: contrastive, strategy: ccp", tmp_path).cells[0].config
    assert value(config, "strategy.patience") * config.protocol.evaluate_every * 25 == 75
    assert config.training.steps_per_epoch == 25
