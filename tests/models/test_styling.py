"""What StyleGAN and StyleGAN2 share: mixing in training, and what sampling may turn."""

import pytest
import torch

from gantools.models import find_system, stylegan, stylegan2
from gantools.models.styling import CONTROLS, mixed, noise_of
from gantools.models.system import Batch

SMALL = {
    "stylegan": stylegan.StyleGANConfig(size=16, latent=6, base=64, widest=16, style=64, mapping_layers=2),
    "stylegan2": stylegan2.StyleGAN2Config(size=16, latent=6, style=64, mapping_layers=2, width=64, max_width=8),
}


@pytest.fixture(params=SMALL)
def system(request):
    return find_system(request.param)


@pytest.fixture
def networks(system, request):
    torch.manual_seed(0)
    networks = system.build(SMALL[request.node.callspec.params["system"]])
    generator = networks["generator"]
    generator.mapping.mean.normal_()
    for name, parameter in generator.named_parameters():
        if name.endswith("strength"):
            parameter.data.fill_(0.3)
    return networks


def close(a, b):
    return torch.allclose(a, b, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_truncation_to_0_leaves_one_image(system, networks):
    z = torch.randn(3, 6)
    usual = system.render(networks, z, None, {"truncation": 0.0})
    assert close(usual, usual[:1].expand_as(usual))
    assert not close(system.render(networks, z, None, {"truncation": 0.5}), system.render(networks, z, None, {}))


@torch.no_grad()
def test_noise_is_constant_off_or_as_weak_as_asked(system, networks):
    z = torch.randn(3, 6)
    images = {s: system.render(networks, z, None, {"noise": s}) for s in (0.0, 0.5, 1.0)}
    assert close(images[1.0], system.render(networks, z, None, {})) and not close(images[0.0], images[1.0])
    near, far = (images[s] - images[0.0] for s in (0.5, 1.0))
    assert 0 < near.abs().mean() < far.abs().mean()
    # Off: nothing of the layers' own maps is left.
    for name, buffer in networks["generator"].named_buffers():
        if name.endswith("noise"):
            buffer.normal_()
    assert close(system.render(networks, z, None, {"noise": 0.0}), images[0.0])
    assert not close(system.render(networks, z, None, {}), images[1.0])


@torch.no_grad()
def test_random_noise_is_an_images_own_wherever_in_a_batch_it_stands(system, networks):
    z = torch.randn(4, 6)
    images = system.render(networks, z, None, {"noise_seed": 1})
    assert close(system.render(networks, z[[2, 0]], None, {"noise_seed": 1}), images[[2, 0]])
    assert not close(system.render(networks, z, None, {"noise_seed": 2}), images)
    assert not close(system.render(networks, z, None, {}), images)
    # Another noise for each: the constant one is the same for all.
    styles = networks["generator"].styles(z)
    maps = noise_of(styles, 1)(1, 4, 4)
    assert maps.shape == (4, 1, 4, 4) and not torch.equal(maps[0], maps[1])
    # The last bits of a style do not decide it.
    assert torch.equal(noise_of(styles * (1 + 1e-6), 1)(1, 4, 4), maps)
    # And it is what `noise: 0` switches off.
    off = system.render(networks, z, None, {"noise_seed": 1, "noise": 0})
    assert close(off, system.render(networks, z, None, {"noise": 0}))


@torch.no_grad()
def test_mixing_takes_the_finest_layers_of_a_second_latent(system, networks):
    z = torch.randn(3, 6)
    assert close(system.render(networks, z, None, {"mixing": 1}), system.render(networks, z.flip(1), None, {}))
    one = system.render(networks, z, None, {"mixing": 1, "mixing_seed": 5})
    assert close(one, one[:1].expand_as(one))
    assert not close(one, system.render(networks, z, None, {"mixing": 1, "mixing_seed": 6}))
    half = system.render(networks, z, None, {"mixing": 0.5, "mixing_seed": 5})
    generator = networks["generator"]
    second = torch.randn(1, 6, generator=torch.Generator().manual_seed(5))
    first = generator.count - round(0.5 * generator.count)
    styles = torch.cat([generator.styles(z)[:, :first], generator.styles(second.expand(3, 6))[:, first:]], 1)
    assert close(half, generator.synthesis(styles))


def test_mixing_in_training_keeps_to_the_layers_in_use(system, networks):
    rows, generator = Batch(torch.zeros(2000, 3, 16, 16)), networks["generator"]
    with torch.no_grad():
        styles, mean = mixed(generator, rows, None, 0.9, 4)
        changes = (styles[:, 1:] != styles[:, :-1]).any(2)
        assert set(changes.sum(1).tolist()) == {0, 1} and not changes[:, 3:].any()
        # Two latents in 90 % of images; in the others one for all layers.
        assert changes.any(1).float().mean().item() == pytest.approx(0.9, abs=0.03)
        assert changes[:, :3].float().mean(0).tolist() == pytest.approx([0.3] * 3, abs=0.05)
        plain, _ = mixed(generator, rows, None, 0.0)
    assert torch.equal(plain[:, 0], plain[:, -1]) and mean.shape == (64,)


def test_both_systems_have_the_same_controls(system):
    assert system.controls is CONTROLS
    assert [c.name for c in CONTROLS] == ["truncation", "noise", "noise_seed", "mixing", "mixing_seed"]
