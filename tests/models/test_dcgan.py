import pytest
import torch

from gantools.errors import ConfigError
from gantools.models.dcgan import DCGANConfig, build


def test_generator_parameters_of_each_layer(layer_parameters):
    # kernel 4x4, no bias; BatchNorm has a weight and a bias a channel. 128 -> 512 -> 256 -> 128 -> 64 -> 3.
    k = 4 * 4
    expected = [128 * 512 * k, 2 * 512, 512 * 256 * k, 2 * 256, 256 * 128 * k, 2 * 128]
    expected += [128 * 64 * k, 2 * 64, 64 * 3 * k]
    assert expected == [1048576, 1024, 2097152, 512, 524288, 256, 131072, 128, 3072]
    network = build(DCGANConfig())["generator"]
    assert layer_parameters(network) == expected
    assert sum(p.numel() for p in network.parameters()) == 3_806_080


def test_discriminator_parameters_of_each_layer(layer_parameters):
    # 3 -> 64 -> 128 -> 256 -> 512 -> 1, BatchNorm but on the first and the last.
    expected = [3072, 131072, 256, 524288, 512, 2097152, 1024, 8192]
    network = build(DCGANConfig())["discriminator"]
    assert layer_parameters(network) == expected
    assert sum(p.numel() for p in network.parameters()) == 2_765_568


def test_feature_maps_of_report_a():
    shapes = {"generator": [], "discriminator": []}
    networks = build(DCGANConfig())
    for name, network in networks.items():
        for m in network.modules():
            if isinstance(m, torch.nn.Conv2d | torch.nn.ConvTranspose2d):
                m.register_forward_hook(lambda _m, _i, out, name=name: shapes[name].append(tuple(out.shape[1:])))
    images = networks["generator"](torch.randn(2, 128))
    logits = networks["discriminator"](images)
    assert shapes["generator"] == [(512, 4, 4), (256, 8, 8), (128, 16, 16), (64, 32, 32), (3, 64, 64)]
    assert shapes["discriminator"] == [(64, 32, 32), (128, 16, 16), (256, 8, 8), (512, 4, 4), (1, 1, 1)]
    assert logits.shape == (2,)
    assert images.abs().max() <= 1


def test_initialisation():
    torch.manual_seed(0)
    for network in build(DCGANConfig()).values():
        for m in network.modules():
            if isinstance(m, torch.nn.Conv2d | torch.nn.ConvTranspose2d) and m.weight.numel() > 10000:
                assert m.weight.std().item() == pytest.approx(0.02, rel=0.05)
                assert abs(m.weight.mean().item()) < 1e-3
            if isinstance(m, torch.nn.BatchNorm2d):
                assert m.weight.mean().item() == pytest.approx(1, abs=0.01)
                assert not m.bias.any()


@pytest.mark.parametrize("size", [8, 28, 32, 48, 64, 96, 128])
def test_other_sizes(size):
    networks = build(DCGANConfig(size=size, channels=1, latent=8, width=4))
    images = networks["generator"](torch.randn(2, 8))
    assert images.shape == (2, 1, size, size)
    assert networks["discriminator"](images).shape == (2,)


@pytest.mark.parametrize("size", [0, 4, 7, 30, 65])
def test_sizes_that_do_not_double(size):
    with pytest.raises(ConfigError, match="size"):
        DCGANConfig(size=size)
