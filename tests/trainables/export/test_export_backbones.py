"""Every backbone becomes an ONNX graph that computes the same."""

from typing import Any

import pytest
import torch

from trainables.config import RunConfig
from trainables.export.onnx_file import run_onnx, to_onnx
from trainables.model import build_model

CASES: dict[str, tuple[dict[str, Any], int, int]] = {
    "conv4 gem": ({"name": "conv4", "pooling": "gem", "gem_training": "learned"}, 1, 28),
    "resnet18 caffe": ({"name": "resnet18", "preprocessing": "caffe"}, 3, 64),
    "resnet50": ({"name": "resnet50"}, 3, 64),
    "mobilenet_v2": ({"name": "mobilenet_v2"}, 3, 64),
    "googlenet": ({"name": "googlenet"}, 3, 64),
    "bn_inception, even sides": ({"name": "bn_inception"}, 3, 96),
    "bn_inception, odd sides": ({"name": "bn_inception"}, 3, 227),
    "squeezenet, grey": ({"name": "squeezenet1_0"}, 1, 64),
    "vit_small": ({"name": "vit_small"}, 3, 224),
    "torchvision vit": ({"name": "torchvision", "architecture": "vit_b_16"}, 3, 224),
    "torchvision densenet": ({"name": "torchvision", "architecture": "densenet121"}, 3, 64),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_onnx_computes_the_same(case: str) -> None:
    backbone, channels, side = CASES[case]
    run = RunConfig.model_validate({"backbone": backbone, "head": {"layer_norm": "before"}})
    model = build_model(run, channels=channels).eval().requires_grad_(False)
    images = torch.rand(5, channels, side, side, generator=torch.Generator().manual_seed(0))
    content = to_onnx(model, images[:2], metadata={})
    for count in (1, 5):
        torch.testing.assert_close(run_onnx(content, images[:count]), model(images[:count]), rtol=1e-3, atol=1e-4)
