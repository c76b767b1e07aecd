from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from gantools.errors import ConfigError
from gantools.layers.attention import AttendedBlocks, SelfAttention, attention_at, check_attention

WIDE = torch.float64


def attention(channels=16, gain=0.7):
    torch.manual_seed(0)
    layer = SelfAttention(channels).to(WIDE)
    torch.nn.init.constant_(layer.gain, gain)
    return layer


def by_definition(layer, x, *, over="places", scale=1.0, pooled=True):
    """Pixel by pixel; `over`, `scale` and `pooled` are mistakes that are made."""
    n, _, h, w = x.shape

    def mapped(conv):
        return torch.einsum("oc,nchw->nohw", conv.weight[:, :, 0, 0], x)

    def halved(y):
        return y.unflatten(3, (w // 2, 2)).unflatten(2, (h // 2, 2)).amax((3, 5)) if pooled else y

    queries, keys, values = mapped(layer.query), halved(mapped(layer.key)), halved(mapped(layer.value))
    scores = torch.einsum("ncij,nckl->nijkl", queries, keys) * scale
    shares = scores.flatten(3).softmax(3) if over == "places" else scores.flatten(1, 2).softmax(1).view(n, h, w, -1)
    seen = torch.einsum("nijk,nck->ncij", shares.view(n, h, w, -1), values.flatten(2))
    return x + layer.gain * torch.einsum("oc,nchw->nohw", layer.out.weight[:, :, 0, 0], seen)


@pytest.mark.parametrize(("h", "w"), [(2, 2), (6, 4)])
def test_it_is_its_definition(h, w):
    layer = attention()
    x = torch.randn(3, 16, h, w, dtype=WIDE)
    found = layer(x)
    torch.testing.assert_close(found, by_definition(layer, x), rtol=0, atol=1e-12)
    if (h, w) != (2, 2):  # of a single place there is one share only
        for mistake in ({"over": "pixels"}, {"scale": 2**-0.5}, {"pooled": False}):
            assert (found - by_definition(layer, x, **mistake)).abs().max() > 1e-3, mistake


def test_it_begins_as_nothing_and_learns_from_there():
    layer = SelfAttention(16)
    x = torch.randn(2, 16, 4, 4)
    assert torch.equal(layer(x), x)
    (slope,) = torch.autograd.grad(layer(x).square().sum(), layer.gain)
    assert slope != 0


@pytest.mark.parametrize("channels", [64, 128, 192, 4])
def test_channels(channels):
    layer = SelfAttention(channels)
    narrow = max(1, channels // 8)
    assert layer.query.out_channels == layer.key.out_channels == narrow
    assert layer.value.out_channels == layer.out.in_channels == channels // 2
    count = sum(p.numel() for p in layer.parameters())
    assert count == 2 * channels * narrow + 2 * channels * (channels // 2) + 1  # no biases, and γ
    assert layer(torch.randn(1, channels, 4, 4)).shape == (1, channels, 4, 4)


def test_no_sample_sees_another_and_half_precision_holds():
    layer = attention().float()
    x = torch.randn(4, 16, 4, 4)
    other = torch.cat([x[:1], x[1:] * 2])
    torch.testing.assert_close(layer(x)[0], layer(other)[0], rtol=0, atol=1e-6)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(layer(x).float(), layer(x.float()).float(), rtol=0.05, atol=0.05)


def test_second_derivatives():
    layer = attention(8)
    x = torch.randn(2, 8, 2, 4, dtype=WIDE, requires_grad=True)
    assert torch.autograd.gradgradcheck(layer, (x,))
    weights = tuple(layer.parameters())
    (slope,) = torch.autograd.grad(F.relu(layer(x)).sum(), x, create_graph=True)
    assert all(g is not None for g in torch.autograd.grad(slope.square().sum(), weights))


def test_sides_that_both_networks_have():
    check_attention(0, 64, 3)
    check_attention(32, 64, 3)
    check_attention(14, 28, 1)
    with pytest.raises(ConfigError) as found:
        check_attention(64, 64, 3)
    assert found.value.message == (
        "network.attention: 64 is no side of maps in both networks; of images of 64 pixels there are 32, 16, 8."
    )
    with pytest.raises(ConfigError, match="there are none"):
        check_attention(7, 28, 0)


@pytest.mark.parametrize(("side", "channels"), [(0, None), (8, 6), (16, 4)])
def test_attention_is_behind_the_block_whose_maps_have_its_side(side, channels):
    class Double(nn.Conv2d):
        def forward(self, x, told):
            return super().forward(x.repeat_interleave(2, 2).repeat_interleave(2, 3)) + told

    widths, told = [8, 6, 4], [1.0, 2.0]
    blocks = AttendedBlocks(Double(before, after, 1) for before, after in pairwise(widths))
    found = attention_at(side, [4, 8, 16], widths)
    x = torch.randn(2, 8, 4, 4)
    expected = blocks[0](x, told[0])
    if channels is None:
        assert found is None
    else:
        assert found.query.in_channels == channels
        nn.init.ones_(found.gain)
    expected = found(expected) if side == 8 else expected
    expected = blocks[1](expected, told[1])
    expected = found(expected) if side == 16 else expected
    assert torch.equal(blocks(x, told, found, side), expected)
    assert set(blocks.state_dict()) == {f"{i}.{name}" for i in (0, 1) for name in ("weight", "bias")}
