import pytest
import torch

from gantools.errors import ConfigError
from gantools.models.dcgan import DCGANConfig, build


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
