import pytest
import torch
import torch.nn.functional as F
from torch import nn

from gantools.layers.norm import ConditionalBatchNorm2d, EmbeddedBatchNorm2d, make_norm, normalised
from gantools.layers.residual import (
    Convolution,
    ResidualBlock,
    convolve_then_halve,
    double_then_convolve,
    doubled,
)

WIDE = torch.float64


def rows(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=WIDE)


@pytest.mark.parametrize(("h", "w"), [(2, 2), (8, 6), (7, 5)])
def test_resampling_convolutions_are_the_two_steps_they_stand_for(h, w):
    weight, bias = rows(5, 3, 3, 3), rows(5, seed=1)
    x = rows(2, 3, h, w, seed=2)
    up = F.conv2d(x.repeat_interleave(2, 2).repeat_interleave(2, 3), weight, bias, padding=1)
    torch.testing.assert_close(double_then_convolve(x, weight, bias), up, rtol=0, atol=1e-13)
    x = rows(2, 3, 2 * h, 2 * w, seed=3)
    down = F.conv2d(x, weight, bias, padding=1).unflatten(3, (w, 2)).unflatten(2, (h, 2)).mean((3, 5))
    torch.testing.assert_close(convolve_then_halve(x, weight, bias), down, rtol=0, atol=1e-13)


@pytest.mark.parametrize("resample", ["up", "down"])
def test_a_shortcut_may_change_places_with_the_resampling(resample):
    layer = Convolution(3, 5, 1, resample=resample).to(WIDE)
    nn.init.normal_(layer.bias)
    x = rows(2, 3, 8, 6)
    plain = F.conv2d(doubled(x) if resample == "up" else F.avg_pool2d(x, 2), layer.weight, layer.bias)
    torch.testing.assert_close(layer(x), plain, rtol=0, atol=1e-13)


@pytest.mark.parametrize(("resample", "side"), [("up", 12), ("down", 3), (None, 6)])
@pytest.mark.parametrize("norm", ["none", "batch", "layer", "group"])
def test_a_block_is_its_formula(resample, side, norm):
    torch.manual_seed(0)
    block = ResidualBlock(4, 8, resample, norm).to(WIDE)
    x = rows(3, 4, 6, 6)
    kept = x.clone()
    twice = lambda x: x.repeat_interleave(2, 2).repeat_interleave(2, 3)  # noqa: E731
    h = F.relu(block.norm1(x))
    h = F.conv2d(twice(h) if resample == "up" else h, block.conv1.weight, block.conv1.bias, padding=1)
    h = F.conv2d(F.relu(block.norm2(h)), block.conv2.weight, block.conv2.bias, padding=1)
    s = F.conv2d(twice(x) if resample == "up" else x, block.shortcut.weight, block.shortcut.bias)
    expected = h + s
    if resample == "down":
        expected = F.avg_pool2d(expected, 2)
    found = block(x)
    assert found.shape == (3, 8, side, side)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    # Were the activation in place, the shortcut would see a rectified x.
    assert torch.equal(x, kept)
    assert (block.conv1.bias is None) == (norm != "none")


def test_the_shortcut_is_x_itself_where_nothing_changes():
    block = ResidualBlock(4, 4)
    nn.init.zeros_(block.conv2.weight)
    x = torch.randn(2, 4, 3, 3)
    assert torch.equal(block(x), x)
    assert sum(p.numel() for p in block.shortcut.parameters()) == 0


def test_a_first_block_sees_the_image_as_it_is():
    """Negative pixels reach the first convolution."""
    torch.manual_seed(0)
    x = -torch.rand(2, 1, 4, 4) - 0.1
    for first in (False, True):
        block = ResidualBlock(1, 8, "down", first=first)
        nn.init.zeros_(block.shortcut.weight)
        assert block.conv1(x if first else F.relu(x)).any() == first
        assert (block(x) != block(x * 2)).any() == first


@pytest.mark.parametrize("kind", ["none", "layer", "group", "batch"])
def test_only_batch_normalisation_couples_samples(kind):
    torch.manual_seed(0)
    norm = make_norm(kind, 32).to(WIDE)
    x = rows(4, 32, 5, 5)
    other = torch.cat((x[:1], x[1:] * 3 + 1))
    assert torch.equal(norm(x)[0], norm(other)[0]) == (kind != "batch")
    groups = {"layer": 1, "group": 2}
    if kind in groups:
        split = norm(x).unflatten(1, (groups[kind], -1)).flatten(2)
        torch.testing.assert_close(split.mean(2), torch.zeros_like(split[..., 0]), rtol=0, atol=1e-12)
        torch.testing.assert_close(split.var(2, unbiased=False), torch.ones_like(split[..., 0]), rtol=1e-4, atol=0)


def test_conditional_batch_normalisation_has_a_scale_and_a_shift_a_class():
    norm = make_norm("batch", 3, classes=2).to(WIDE)
    assert isinstance(norm, ConditionalBatchNorm2d)
    x, labels = rows(6, 3, 4, 4), torch.tensor([0, 1, 1, 0, 1, 0])
    plain = nn.BatchNorm2d(3).to(WIDE)
    torch.testing.assert_close(norm(x, labels), plain(x))
    with torch.no_grad():
        norm.scale[1], norm.shift[1] = 2.0, 5.0
    found, expected = norm(x, labels), plain(x)
    torch.testing.assert_close(found[labels == 0], expected[labels == 0])
    torch.testing.assert_close(found[labels == 1], expected[labels == 1] * 2 + 5)
    assert {name for name, _ in norm.named_buffers()} == {
        "norm.running_mean",
        "norm.running_var",
        "norm.num_batches_tracked",
    }


def test_initialisation_is_xavier_uniform():
    torch.manual_seed(0)
    block = ResidualBlock(64, 128, "down")
    for layer, gain in ((block.conv1, 2**0.5), (block.conv2, 2**0.5), (block.shortcut, 1.0)):
        o, i, k, _ = layer.weight.shape
        bound = gain * (6 / ((o + i) * k * k)) ** 0.5
        assert layer.weight.abs().max() <= bound
        assert float(layer.weight.detach().std()) == pytest.approx(bound / 3**0.5, rel=0.03)
        assert not layer.bias.any()


def test_derivatives_of_derivatives():
    """What a gradient penalty needs."""
    torch.manual_seed(0)
    for resample in ("up", "down", None):
        block = ResidualBlock(2, 2, resample, "layer").to(WIDE)
        x = rows(2, 2, 4, 4).requires_grad_()
        assert torch.autograd.gradgradcheck(block, (x,))


def test_batch_normalisation_told_vectors_has_a_scale_and_a_shift_of_each():
    torch.manual_seed(0)
    norm = EmbeddedBatchNorm2d(3, 5).to(WIDE)
    x, vectors = rows(4, 3, 2, 2), rows(4, 5, seed=1)
    plain = nn.BatchNorm2d(3, affine=False).to(WIDE)(x)
    found = normalised(norm, x, vectors)
    for i in range(4):
        for c in range(3):
            scale, shift = 1 + norm.scale.weight[c] @ vectors[i], norm.shift.weight[c] @ vectors[i]
            torch.testing.assert_close(found[i, c], plain[i, c] * scale + shift, rtol=0, atol=1e-12)
    assert norm.scale.bias is None and norm.shift.bias is None


def test_a_block_may_have_other_channels_between_and_a_bias_before_a_normalisation():
    block = ResidualBlock(4, 8, "down", hidden=6)
    assert (block.conv1.out_channels, block.conv2.in_channels) == (6, 6)
    assert ResidualBlock(4, 8, "up", "batch", bias=True).conv1.bias is not None
    block = ResidualBlock(4, 8, "up", lambda channels: EmbeddedBatchNorm2d(channels, 2))
    assert isinstance(block.norm2, EmbeddedBatchNorm2d) and block.conv1.bias is None
    assert block(torch.randn(3, 4, 2, 2), torch.randn(3, 2)).shape == (3, 8, 4, 4)
