import pytest
import torch

from gantools.errors import ConfigError
from gantools.models.dcgan import DCGANConfig, build
from gantools.recipes.recipe import load_recipe
from gantools.training.state import TrainingState


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


@pytest.mark.parametrize(("reference", "apart"), [(5, True), (0, False)])
@pytest.mark.parametrize("classes", [0, 3])
def test_with_a_reference_batch_an_image_depends_on_its_own_latent_alone(reference, apart, classes):
    torch.manual_seed(0)
    network = build(DCGANConfig(size=16, latent=8, width=4, classes=classes, reference=reference))["generator"].double()
    z, labels = torch.randn(6, 8, dtype=torch.float64), (torch.arange(6) % classes,) if classes else ()
    images = network(z, *labels)
    assert images.shape == (6, 3, 16, 16)
    alone = torch.cat([network(z[i : i + 1], *(y[i : i + 1] for y in labels)) for i in range(6)])
    assert torch.allclose(images, alone, rtol=0, atol=1e-12) is apart
    # So it makes the same images in training and after it.
    assert torch.allclose(images, network.eval()(z, *labels), rtol=0, atol=1e-12) is apart


def test_the_reference_batch_is_drawn_once_and_belongs_to_the_weights():
    torch.manual_seed(0)
    networks = [build(DCGANConfig(size=16, latent=8, width=4, reference=5))["generator"] for _ in range(2)]
    assert networks[0].state_dict()["reference"].shape == (5, 8)
    assert not torch.equal(networks[0].reference, networks[1].reference)
    networks[1].load_state_dict(networks[0].state_dict())
    z = torch.randn(3, 8)
    assert torch.equal(networks[0](z), networks[1](z))
    # Its weights begin as those of batch normalisation do.
    scales = torch.cat([m.weight.detach() for m in networks[0].layers if hasattr(m, "reference")])
    assert scales.mean().item() == pytest.approx(1, abs=0.02) and 0.01 < scales.std().item() < 0.03


def test_minibatch_discrimination_tells_alike_samples():
    torch.manual_seed(0)
    judge = build(DCGANConfig(size=16, latent=8, width=4, kernels=6))["discriminator"].eval()
    x = torch.rand(4, 3, 16, 16) * 2 - 1
    outputs, features = judge.examine(x)
    torch.testing.assert_close(judge(x), outputs)
    head = judge.layers[-1](features).flatten()
    torch.testing.assert_close(outputs - head, judge.alike(features).flatten())
    # Beside itself an image has another output than beside others.
    beside = torch.cat((x[:1], x[:1], x[:1], x[:1]))
    assert abs(float((judge(beside) - judge(x)).detach()[0])) > 1e-6


def test_what_couples_samples_is_refused_with_a_penalty(tiny):
    with pytest.raises(ConfigError, match=r"minibatch discrimination couples the samples") as error:
        TrainingState(load_recipe(tiny, ["network.kernels=4", "penalties.r1=1"]), torch.device("cpu"))
    assert "MinibatchDiscrimination at 'alike.1'" in str(error.value)
    with pytest.raises(ConfigError, match=r"network.kernels: must be at least 0, not -1"):
        DCGANConfig(kernels=-1)
