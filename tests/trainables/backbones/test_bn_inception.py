"""bn_inception: widths, parameters, preprocessing and the keys of its usual weights file, worked out by hand."""

from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from trainables.backbones.bn_inception import build, file_key
from trainables.backbones.build import build_backbone
from trainables.backbones.config import BNInception
from trainables.backbones.loading import load_weights
from trainables.backbones.weights import resolve
from trainables.errors import DataError
from trainables.parts import identity

BLOCKS = {
    # block: inputs, 1x1, 3x3 reduce, 3x3, double reduce, double, pooled projection, side of its map at 224 pixels
    "3a": (192, 64, 64, 64, 64, 96, 32, 28),
    "3b": (256, 64, 64, 96, 64, 96, 64, 28),
    "3c": (320, 0, 128, 160, 64, 96, 0, 14),
    "4a": (576, 224, 64, 96, 96, 128, 128, 14),
    "4b": (576, 192, 96, 128, 96, 128, 128, 14),
    "4c": (576, 160, 128, 160, 128, 160, 128, 14),
    "4d": (608, 96, 128, 192, 160, 192, 128, 14),
    "4e": (608, 0, 128, 192, 192, 256, 0, 7),
    "5a": (1056, 352, 192, 320, 160, 224, 128, 7),
    "5b": (1024, 352, 192, 320, 192, 224, 128, 7),
}


def convolution(inputs: int, outputs: int, kernel: int) -> int:
    """Weights and biases of a convolution, scale and shift of its batch norm."""
    return outputs * (inputs * kernel * kernel + 1) + 2 * outputs


def parameters_of(block: tuple[int, ...]) -> int:
    inputs, single, before, wide, reduced, twice, pooled, _ = block
    double = convolution(inputs, reduced, 1) + convolution(reduced, twice, 3) + convolution(twice, twice, 3)
    ends = convolution(inputs, single, 1) + convolution(inputs, pooled, 1)
    return ends + convolution(inputs, before, 1) + convolution(before, wide, 3) + double


def test_parameters_are_ten_million() -> None:
    body = build(BNInception(), channels=3).body
    stem = convolution(3, 64, 7) + convolution(64, 64, 1) + convolution(64, 192, 3)
    expected = stem + sum(parameters_of(block) for block in BLOCKS.values())
    assert stem == 9600 + 4288 + 111168
    assert sum(parameter.numel() for parameter in body.parameters()) == expected == 10_270_240


def test_maps_of_every_block_at_the_papers_size() -> None:
    body = build(BNInception(), channels=3).body.eval()
    x, found = torch.zeros(1, 3, 224, 224), {}
    with torch.no_grad():
        for name, layer in body.named_children():
            x = layer(x)
            found[name] = tuple(x.shape[1:])
    assert found["conv1_7x7_s2"] == (64, 112, 112)
    assert found["pool1_3x3_s2"] == (64, 56, 56)
    assert found["conv2_3x3"] == (192, 56, 56)
    for name, (inputs, single, _, wide, _, twice, pooled, side) in BLOCKS.items():
        assert found[f"inception_{name}"] == (single + wide + twice + (pooled or inputs), side, side)
    assert found["inception_5b"] == (1024, 7, 7)


@pytest.mark.parametrize("side", [8, 16, 17, 33, 97])
def test_other_image_sizes_work(side: int) -> None:
    with torch.no_grad():
        assert build(BNInception(), channels=3).body.eval()(torch.rand(2, 3, side, side + 1)).shape[:2] == (2, 1024)


def test_batch_norm_is_that_of_the_papers_code() -> None:
    def norms(config: BNInception) -> set[tuple[float, float | None]]:
        body = build(config, channels=3).body
        return {(layer.eps, layer.momentum) for layer in body.modules() if isinstance(layer, nn.BatchNorm2d)}

    assert norms(BNInception()) == {(1e-5, 0.9)}
    assert norms(BNInception(momentum=0.1)) == {(1e-5, 0.1)}


def test_every_convolution_has_a_batch_norm_and_a_relu() -> None:
    kinds = [type(layer) for layer in build(BNInception(), channels=3).body.modules()]
    assert kinds.count(nn.Conv2d) == kinds.count(nn.BatchNorm2d) == kinds.count(nn.ReLU) == 3 + 8 * 7 + 2 * 5


def test_it_sees_blue_green_red_from_0_to_255() -> None:
    backbone = build_backbone(BNInception(), channels=3, seed=0)
    red, green, blue = 200 / 255, 100 / 255, 50 / 255
    image = torch.tensor([red, green, blue]).view(1, 3, 1, 1)
    expected = torch.tensor([50 - 104.0, 100 - 117.0, 200 - 128.0])
    torch.testing.assert_close(backbone.normalized(image).flatten(), expected, rtol=1e-5, atol=1e-4)
    gray = build_backbone(BNInception(), channels=1, seed=0).normalized(torch.full((1, 1, 1, 1), 1.0))
    torch.testing.assert_close(gray.flatten(), torch.tensor([151.0, 138.0, 127.0]), rtol=1e-5, atol=1e-4)


def test_its_mean_is_a_setting_in_the_order_of_its_channels() -> None:
    config = BNInception(mean=(103.53, 116.28, 123.675))
    white = build_backbone(config, channels=3, seed=0).normalized(torch.ones(1, 3, 1, 1))
    torch.testing.assert_close(white.flatten(), torch.tensor([151.47, 138.72, 131.325]), rtol=1e-5, atol=1e-4)
    assert BNInception.model_validate_json(config.model_dump_json()) == config
    assert identity(config)["mean"] == [103.53, 116.28, 123.675]
    assert "mean" not in identity(BNInception(mean=(104, 117, 128)))


@pytest.mark.parametrize("mean", [(104, 117), (104, 117, 256), (-1, 117, 128), (0.4, float("nan"), 0.5)])
def test_a_mean_that_no_pixels_have_is_refused(mean: tuple[float, ...]) -> None:
    with pytest.raises(ValidationError, match="mean"):
        BNInception.model_validate({"mean": mean})


def test_gradients_reach_the_image_in_its_own_channel_order() -> None:
    backbone = build_backbone(BNInception(), channels=3, seed=0).double().eval()
    image = torch.rand(1, 3, 32, 32, dtype=torch.float64, requires_grad=True)
    backbone(image).sum().backward()
    assert image.grad is not None
    swapped = image.detach().flip(1).requires_grad_()
    mean, std = backbone.mean, backbone.std
    backbone.body((swapped - mean) / std).mean((2, 3)).sum().backward()
    assert swapped.grad is not None
    torch.testing.assert_close(image.grad, swapped.grad.flip(1), rtol=1e-9, atol=1e-12)
    assert all(channel.abs().sum() > 0 for channel in image.grad[0])


def test_a_block_is_its_branches_in_order() -> None:
    """Against the branches written out, in double precision, with running statistics that do something."""
    torch.manual_seed(0)
    body = build(BNInception(), channels=3).body.double().eval()
    for layer in body.modules():
        if isinstance(layer, nn.BatchNorm2d) and layer.running_mean is not None and layer.running_var is not None:
            layer.running_mean.normal_()
            layer.running_var.uniform_(0.5, 2)
    state = body.state_dict()

    def conv(block: str, name: str, x: Tensor, stride: int = 1) -> Tensor:
        place = f"inception_{block}.{name}"
        weight = state[f"{place}.conv.weight"]
        x = nn.functional.conv2d(x, weight, state[f"{place}.conv.bias"], stride, weight.shape[2] // 2)
        names = ("running_mean", "running_var", "weight", "bias")
        return nn.functional.batch_norm(x, *(state[f"{place}.bn.{key}"] for key in names), eps=1e-5).relu()

    for block, stride, pooled in [("3a", 1, "avg"), ("3c", 2, "max"), ("5b", 1, "max")]:
        x = torch.randn(2, BLOCKS[block][0], 6, 6, dtype=torch.float64)
        triple = conv(block, "3x3", conv(block, "3x3_reduce", x), stride)
        double = conv(block, "double_3x3_1", conv(block, "double_3x3_reduce", x))
        double = conv(block, "double_3x3_2", double, stride)
        if stride == 2:  # every window of the last row and column is cut off at the margin
            margin = nn.functional.pad(x, (0, 1, 0, 1), value=-torch.inf)
            branches = [triple, double, nn.functional.max_pool2d(margin, 3, 2)]
        else:
            margin = nn.functional.pad(x, (1, 1, 1, 1), value=0 if pooled == "avg" else -torch.inf)
            windows = margin.unfold(2, 3, 1).unfold(3, 3, 1).flatten(4)
            around = windows.mean(4) if pooled == "avg" else windows.amax(4)
            branches = [conv(block, "1x1", x), triple, double, conv(block, "pool_proj", around)]
        found = body.get_submodule(f"inception_{block}")(x)
        torch.testing.assert_close(found, torch.cat(branches, 1), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("conv1_7x7_s2.weight", "conv1_7x7_s2.conv.weight"),
        ("conv2_3x3_reduce_bn.running_var", "conv2_3x3_reduce.bn.running_var"),
        ("inception_3a_1x1.bias", "inception_3a.1x1.conv.bias"),
        ("inception_3a_1x1_bn.weight", "inception_3a.1x1.bn.weight"),
        ("inception_4e_double_3x3_2_bn.bias", "inception_4e.double_3x3_2.bn.bias"),
        ("inception_5b_pool_proj.weight", "inception_5b.pool_proj.conv.weight"),
        ("inception_5b.pool_proj.conv.weight", "inception_5b.pool_proj.conv.weight"),
        ("conv1_7x7_s2.conv.weight", "conv1_7x7_s2.conv.weight"),
        ("last_linear.weight", None),
        ("fc.bias", None),
    ],
)
def test_keys_of_the_usual_file(key: str, name: str | None) -> None:
    assert file_key(key) == name


def as_published(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state dict with the names and the shapes of the published file: batch norm's vectors lie in a row."""
    result = {"last_linear.weight": torch.zeros(1000, 1024), "last_linear.bias": torch.zeros(1000)}
    for key, value in state.items():
        *place, kind, leaf = key.split(".")
        if leaf != "num_batches_tracked":
            name = "_".join(place) + ("_bn" if kind == "bn" else "")
            result[f"{name}.{leaf}"] = value[None] if kind == "bn" else value
    return result


def test_a_file_in_the_published_layout_loads(tmp_path: Path) -> None:
    source = build_backbone(BNInception(), channels=3, seed=7).body.state_dict()
    published = as_published(dict(source))
    assert published["inception_3c_double_3x3_1_bn.running_mean"].shape == (1, 96)
    assert len(published) == 2 + 69 * 6
    torch.save(published, tmp_path / "bn.pth")
    config = resolve(BNInception(weights="bn.pth"), search=[tmp_path], cache=tmp_path)
    loaded = build_backbone(config, channels=3, seed=0).body.state_dict()
    assert all(torch.equal(value, source[key]) for key, value in loaded.items())
    own = tmp_path / "own.pth"
    torch.save(source, own)
    load_weights(build(BNInception(), channels=3).body, own, file_key=file_key)


def test_a_file_that_does_not_fit_is_refused_with_its_keys(tmp_path: Path) -> None:
    published = as_published(dict(build_backbone(BNInception(), channels=3, seed=7).body.state_dict()))
    del published["inception_3a_1x1.weight"]
    published["inception_6a_1x1.weight"] = torch.zeros(1)
    torch.save(published, tmp_path / "bn.pth")
    with pytest.raises(DataError, match=r"1 key missing: inception_3a\.1x1\.conv\.weight; 1 key not known: inc.*_6a"):
        build_backbone(BNInception(weights=str(tmp_path / "bn.pth")), channels=3, seed=0)


def test_a_missing_file_says_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\.lip6\.fr/cadene/pretrainedmodels/bn_inception-52deb4733\.pth"):
        resolve(BNInception(weights="bn.pth"), search=[tmp_path], cache=tmp_path)
