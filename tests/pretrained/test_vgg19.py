from pathlib import Path

import pytest
import torch
from torch import nn

from gantools.errors import ConfigError, WeightsError
from gantools.pretrained import vgg19


def as_torchvision(last: int) -> nn.Sequential:
    """torchvision's `vgg19().features[:last]`, written down."""
    layers: list[nn.Module] = []
    width = 3
    for out, convolutions in ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4)):
        for _ in range(convolutions):
            layers += [nn.Conv2d(width, out, 3, padding=1), nn.ReLU()]
            width = out
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers[:last])


@pytest.fixture(scope="module")
def torchvision_file(tmp_path_factory) -> tuple[Path, nn.Sequential]:
    torch.manual_seed(0)
    network = as_torchvision(37).eval().requires_grad_(False)
    path = tmp_path_factory.mktemp("vgg") / "vgg19.pth"
    state = {f"features.{key}": value for key, value in network.state_dict().items()}
    torch.save({**state, "classifier.6.bias": torch.zeros(1000)}, path)
    return path, network


def test_layers_are_those_of_torchvision_before_and_after_the_relu(torchvision_file):
    path, reference = torchvision_file
    network = vgg19.load("vgg19", ["conv1_2", "relu3_4", "conv5_4", "relu5_4"], path)
    images = torch.rand(2, 3, 32, 40) * 2 - 1
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    x = ((images + 1) / 2 - mean[:, None, None]) / std[:, None, None]
    found = network(images)
    for layer, modules in {"conv1_2": 3, "relu3_4": 18, "conv5_4": 35, "relu5_4": 36}.items():
        torch.testing.assert_close(found[layer], reference[:modules](x), rtol=1e-4, atol=1e-5)
    # 35 modules end before the ReLU, 36 after it: the usual slip is one of an index.
    assert found["conv5_4"].min() < 0
    assert found["relu5_4"].min() == 0
    assert len(network.sha256) == 64


def test_gradients_flow_to_images_and_not_to_weights(torchvision_file):
    network = vgg19.load("vgg19", ["conv2_1"], torchvision_file[0])
    assert sum(p.numel() for p in network.parameters()) < 130_000  # nothing behind the layer is loaded
    x = torch.zeros(1, 3, 16, 16, requires_grad=True)
    network.train()(x)["conv2_1"].sum().backward()
    assert x.grad is not None
    assert x.grad.abs().sum() > 0
    assert not network.training
    assert all(p.grad is None for p in network.parameters())


def test_the_normalised_network_of_style_transfer(test_data):
    file = test_data / "weights" / "vgg_normalised_conv3_1.pth"
    network = vgg19.load("vgg19-normalised", ["relu1_1", "relu3_1"], file)
    state = torch.load(file, weights_only=True)
    # Its layers in a row: 1x1, pad, conv, relu, pad, conv, relu, pool, pad, conv, ...
    row: list[nn.Module] = [nn.Conv2d(3, 3, 1)]
    for i, o, pool in ((3, 64, 0), (64, 64, 1), (64, 128, 0), (128, 128, 1), (128, 256, 0)):
        row += [nn.ReflectionPad2d(1), nn.Conv2d(i, o, 3), nn.ReLU()]
        row += [nn.MaxPool2d(2, ceil_mode=True)] * pool
    reference = nn.Sequential(*row)
    reference.load_state_dict(state)
    x = torch.rand(1, 3, 34, 30)
    with torch.no_grad():
        wanted = reference(x)
        found = network(2 * x - 1)
    torch.testing.assert_close(found["relu3_1"], wanted, rtol=1e-4, atol=1e-4)
    assert found["relu1_1"].shape == (1, 64, 34, 30)


def test_under_autocast_the_levels_of_an_image_stay_apart(test_data):
    network = vgg19.load("vgg19-normalised", ["conv1_1"], test_data / "weights" / "vgg_normalised_conv3_1.pth")
    x = torch.linspace(-1, 1, 256)[None, None, :, None].expand(1, 3, 256, 4)
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        rows = network(x)["conv1_1"].float().mean((0, 3))
    with torch.no_grad():
        exact = network(x)["conv1_1"].mean((0, 3))
    # bfloat16 products of the first layer itself are good to about 1.6 %.
    assert (rows - exact).abs().max() / exact.abs().max() < 0.02


def test_wrong_layers_and_files_are_named(tmp_path, torchvision_file):
    with pytest.raises(ConfigError, match="conv5_5"):
        vgg19.check_layer("vgg19", "conv5_5", "game.perceptual.layer")
    with pytest.raises(ConfigError, match="vgg19-normalised"):
        vgg19.check_layer("vgg19-normalised", "conv4_1", "game.perceptual.layer")
    vgg19.check_layer("vgg19-normalised", "relu3_1", "")
    with pytest.raises(WeightsError, match="does not exist"):
        vgg19.load("vgg19", ["conv1_1"], tmp_path / "none.pth")
    torch.save({"features.0.weight": torch.zeros(64, 3, 3, 3)}, tmp_path / "cut.pth")
    with pytest.raises(WeightsError, match=r"features\.0\.bias"):
        vgg19.load("vgg19", ["conv1_1"], tmp_path / "cut.pth")
    with pytest.raises(WeightsError, match="is missing"):
        vgg19.load("vgg19-normalised", ["conv1_1"], torchvision_file[0])
