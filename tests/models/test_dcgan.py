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


def test_classes_add_to_the_networks_and_change_nothing_else():
    torch.manual_seed(0)
    plain = build(DCGANConfig(size=16, latent=8, width=4))
    torch.manual_seed(0)
    told = build(DCGANConfig(size=16, latent=8, width=4, classes=3))
    shapes = {name: {k: v.shape for k, v in network.state_dict().items()} for name, network in plain.items()}
    for name, network in told.items():
        theirs = {k: v.shape for k, v in network.state_dict().items()}
        first = "layers.0.weight"
        if name == "generator":
            # The class is three further latents.
            assert theirs.pop(first) == (11, *shapes[name].pop(first)[1:])
        else:
            # The last layer once more for each class.
            assert theirs.pop("classes.weight") == (3, *shapes[name]["layers.5.weight"][1:])
        assert theirs == shapes[name]


def test_a_class_changes_the_image_and_the_judgement():
    torch.manual_seed(0)
    networks = build(DCGANConfig(size=16, latent=8, width=4, classes=3))
    z, labels = torch.randn(1, 8).expand(6, 8), torch.tensor([0, 0, 1, 1, 2, 2])
    images = networks["generator"](z, labels)
    torch.testing.assert_close(images[::2], images[1::2])
    assert (images[::2].flatten(1).diff(dim=0).abs().amax(1) > 1e-3).all()
    judge = networks["discriminator"].eval()
    x = torch.rand(3, 3, 16, 16)
    found = torch.stack([judge(x, torch.full((3,), k)) for k in range(3)], 1)
    # The common output, and the class's own product with the same features.
    own = judge.classes(judge.layers[:-1](x)).flatten(1)
    torch.testing.assert_close(found, judge(x)[:, None] + own)


def test_a_number_of_classes_that_is_none():
    with pytest.raises(ConfigError, match=r"network.classes: must be at least 0, not -1"):
        DCGANConfig(classes=-1)
