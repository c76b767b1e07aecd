"""Video super-resolution: the networks layer by layer, what frames do to a result, and the losses by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from tests.models.by_hand import adams, count, gradients, step

from gantools.errors import ConfigError
from gantools.layers.video import VideoJudge, VSRResNet, bicubic
from gantools.models.system import Batch
from gantools.models.vsrgan import VSRGANConfig, VSRGANGame, build, frozen, stages
from gantools.objectives.perceptual import PerceptualConfig
from gantools.recipes.recipe import load_recipe

SMALL = VSRGANConfig(size=16, scale=2, width=6, blocks=2, judge_width=4)
PIXELS = VSRGANGame(pretrain_kimg=0.1, pixel=1.0, perceptual=PerceptualConfig(weight=0.0))
FILE = "vgg_normalised_conv3_1.pth"


def film(n: int = 2, config: VSRGANConfig = SMALL, seed: int = 0) -> Batch:
    torch.manual_seed(seed)
    small = config.size // config.scale
    images = torch.rand(n, config.channels, config.size, config.size) * 2 - 1
    return Batch(images, inputs=torch.rand(n, config.frames, config.channels, small, small) * 2 - 1)


def network(**changes: int) -> VSRResNet:
    torch.manual_seed(0)
    made = VSRResNet(**{"channels": 1, "scale": 2, "width": 6, "blocks": 2, **changes})
    for parameter in made.parameters():
        parameter.data.add_(0.1 * torch.randn(parameter.shape))
    return made.eval()


def test_weights_layer_by_layer():
    net = VSRResNet(1, 4)
    counts = {name: count(part) for name, part in net.named_children()}
    assert counts == {
        "head": 9 * 64 + 64,
        "fuse": 9 * 5 * 64 * 64 + 64,
        "body": 15 * 2 * (9 * 64 * 64 + 64),
        "late": 9 * 64 * 64 + 64,
        "tail": 9 * 64 + 1,
    }
    assert count(net) == 1_330_369 and count(VSRResNet(3, 4)) == 1_332_675
    assert count(VSRResNet(1, 2)) == 1_330_369
    assert sum(isinstance(m, torch.nn.Conv2d) for m in net.modules()) == 34
    # With a first convolution for each frame there would be 1,332,929: what is shared is counted once.
    assert count(net) + 4 * counts["head"] == 1_332_929
    assert count(VideoJudge(1, 64)) == 386_433


def test_recipes_are_the_published_networks():
    for scale in (2, 4):
        recipe = load_recipe(f"vsrgan-x{scale}")
        networks = recipe.system.build(recipe.network)
        assert count(networks["generator"]) == 1_330_369 and count(networks["discriminator"]) == 386_433
        assert recipe.network.scale == scale and recipe.data.frames == recipe.network.frames == 5


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_enlarging_is_pillows_bicubic(scale):
    levels = np.random.default_rng(0).integers(40, 216, (9, 12), dtype=np.uint8)
    wanted = np.asarray(Image.fromarray(levels).resize((12 * scale, 9 * scale), Image.Resampling.BICUBIC), np.float32)
    x = torch.from_numpy(levels).float()[None, None]
    # Pillow rounds between rows and columns too.
    assert np.abs(bicubic(x, scale)[0, 0].clamp(0, 255).numpy() - wanted).max() <= 1.2
    # torch's bicubic without antialias has another kernel.
    other = F.interpolate(x, scale_factor=scale, mode="bicubic", align_corners=False)[0, 0].numpy()
    assert np.abs(other.clip(0, 255) - wanted).max() > 3


def test_the_result_is_the_bicubic_of_the_middle_frame_and_a_residual():
    net, x = network(), film().inputs
    net.tail.weight.data.zero_()
    net.tail.bias.data.zero_()
    torch.testing.assert_close(net(x), bicubic(x[:, 2], 2))
    assert not torch.allclose(net(x), bicubic(x[:, 1], 2), atol=0.1)


def test_each_neighbour_matters_and_so_does_its_place():
    net, x = network(), film(n=1).inputs
    whole = net(x)
    for frame in (0, 1, 3, 4):
        other = x.clone()
        other[:, frame] = 0
        assert (net(other) - whole).abs().max() > 1e-3, frame
    for order in ([4, 1, 2, 3, 0], [1, 0, 2, 3, 4], [3, 0, 2, 4, 1]):
        assert (net(x[:, order]) - whole).abs().max() > 1e-3, order


@pytest.mark.parametrize("bug", [None, "mean"])
def test_shuffled_neighbours_would_be_found(bug):
    """Frames fused by their mean, as a careless network does, know no order."""
    net, x = network(), film(n=1).inputs
    if bug == "mean":
        w = net.fuse.weight.data.reshape(6, 5, 6, 3, 3)
        net.fuse.weight.data.copy_(w.mean(1, keepdim=True).expand_as(w).reshape(6, 30, 3, 3))
    moved = (net(x[:, [3, 0, 2, 4, 1]]) - net(x)).abs().max() > 1e-3
    assert moved == (bug is None)


def test_five_equal_frames_are_one_image():
    """As the network of one frame whose fusing weights are the sum of those of the five."""
    net, one = network(), network(frames=1)
    one.load_state_dict({**net.state_dict(), "fuse.weight": net.fuse.weight.data.reshape(6, 5, 6, 3, 3).sum(1)})
    x = film().inputs[:, :1]
    torch.testing.assert_close(net(x.expand(-1, 5, -1, -1, -1)), one(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("scale", "blocks"), [(2, 2), (4, 1), (3, 0 + 1)])
def test_reach_is_what_a_result_depends_on(scale, blocks):
    config = VSRGANConfig(size=24, scale=scale, width=4, blocks=blocks)
    net = network(scale=scale, width=4, blocks=blocks).double()
    side, reach = 2 * config.reach + 7, config.reach
    x = torch.rand(1, 5, 1, side, side, dtype=torch.float64)
    edged = x.clone()
    middle = side // 2
    edged[..., : middle - reach, :] = 0
    inner = slice(middle * scale, (middle + 1) * scale)
    torch.testing.assert_close(net(edged)[..., inner, :], net(x)[..., inner, :], rtol=0, atol=1e-12)
    # One pixel less is seen (the two of bicubic are at least that many, the rest is rounded up).
    edged[..., : middle - reach + 3, :] = 0
    assert (net(edged)[..., inner, :] - net(x)[..., inner, :]).abs().max() > 1e-9


def test_stages_and_what_they_begin_with():
    first, second = stages(SMALL, PIXELS)
    assert (first.name, first.nimg, second.name, second.nimg) == ("pretrain", 100, "gan", None)
    assert second.fresh == ("generator",) and [p.name for p in second.phases] == ["generator", "discriminator"]
    assert [s.name for s in stages(SMALL, VSRGANGame(gan=False))] == ["pretrain"]
    assert [s.name for s in stages(SMALL, VSRGANGame(pretrain_kimg=0))] == ["gan"]


@pytest.mark.parametrize("channels", [1, 3])
def test_both_stages_step(channels):
    config = VSRGANConfig(size=16, scale=4, channels=channels, width=4, blocks=1, judge_width=4)
    torch.manual_seed(0)
    networks = build(config)
    optimizers = adams(networks, 0.001, (0.9, 0.999))
    for stage in stages(config, PIXELS):
        for phase in stage.phases:
            before = {n: [p.clone() for p in net.parameters()] for n, net in networks.items()}
            assert step(networks, phase, film(3, config), optimizers).value.isfinite()
            for name, net in networks.items():
                same = all(torch.equal(p, q) for p, q in zip(net.parameters(), before[name], strict=True))
                assert same == (name not in phase.updates)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_generators_loss_by_hand(test_data, channels):
    config = VSRGANConfig(size=16, scale=2, channels=channels, width=4, blocks=1, judge_width=4)
    weights = str(test_data / "weights" / FILE)
    perceptual = PerceptualConfig(0.998, "vgg19-normalised", "conv3_1", "charbonnier", weights)
    game = VSRGANGame(perceptual=perceptual)
    torch.manual_seed(0)
    networks = build(config) | frozen(config, game, True)
    batch = film(config=config)
    phase = stages(config, game)[1].phases[0]
    out = phase.loss(networks, batch, {})
    for net in networks.values():
        net.train()
    x, y = networks["generator"](batch.inputs), batch.images

    def rho(u):
        return (u.square() + 1e-6).sqrt().mean()

    def seen(v):
        return networks["features"](v.repeat(1, 3 // channels, 1, 1))["conv3_1"]

    expected = {
        "adversarial": 0.001 * F.softplus(-networks["discriminator"](x)).mean(),
        "pixel": 0.001 * rho(x - y),
        "perceptual": 0.998 * rho(seen(x) - seen(y)),
    }
    for name, value in expected.items():
        torch.testing.assert_close(out.means[name], value.detach())
    torch.testing.assert_close(out.value, sum(expected.values()))
    # Before the ReLU features are negative too; the slip of one index would have none below zero.
    assert seen(y).min() < 0
    _, found = gradients(networks, phase, batch)
    assert set(found) == {"generator"}


def test_the_first_stage_is_the_mean_squared_error():
    torch.manual_seed(0)
    networks, batch = build(SMALL), film()
    out = stages(SMALL, PIXELS)[0].phases[0].loss(networks, batch, {})
    torch.testing.assert_close(out.value, F.mse_loss(networks["generator"](batch.inputs), batch.images))


def test_the_discriminator_gives_the_generator_no_gradient():
    torch.manual_seed(0)
    networks = build(SMALL)
    out = stages(SMALL, PIXELS)[1].phases[1].loss(networks, film(), {})
    found = torch.autograd.grad(out.value, list(networks["generator"].parameters()), allow_unused=True)
    assert all(g is None for g in found)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"network": {"frames": 4}}, "network.frames: must be odd"),
        ({"network": {"frames": 3}}, "network.frames is 3, data.frames 5"),
        ({"data.frames": 7}, "network.frames is 5, data.frames 7"),
        ({"network": {"scale": 5}}, "network.scale: must be one of 2, 3, 4, 8"),
        ({"network": {"size": 60}}, "network.size: must be a multiple of 8"),
        ({"game": {"pixel": 0.0, "perceptual": {"weight": 0.0}}}, "nothing ties results to inputs"),
        ({"game": {"gan": False, "pretrain_kimg": 0}}, "leaves nothing to train"),
        ({"data": {"feed": "crops"}}, "data.frames: belongs to the feed `frames`"),
    ],
)
def test_what_cannot_be_is_refused(changes, words):
    with pytest.raises(ConfigError, match=words) as refused:
        load_recipe("vsrgan-x4", changes)
    assert "\n" not in refused.value.message
