import pytest
import torch
from tests.models.by_hand import count
from torch import nn

from gantools.layers.norm import LoneBatchNorm2d
from gantools.layers.unet import PRIME, UNet, reach, scattered

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("downs", "norm", "weights"),
    [
        (8, "batch", 54_413_955),
        (7, "batch", 41_828_995),
        (6, "batch", 29_244_035),
        (8, "instance", 54_409_603),
        (7, "instance", 41_825_667),
        (6, "instance", 29_241_731),
    ],
)
def test_weights_of_the_published_networks(downs, norm, weights):
    assert count(UNet(3, 3, 64, downs, norm)) == weights


def test_dropout_is_where_the_pytorch_code_has_it():
    # The Lua code has it on the maps of 2, 4 and 8 pixels: (512, 2, 2) would be among these.
    assert UNet(3, 3, 64, 8).mask_shapes(256, 256) == [(512, 4, 4), (512, 8, 8), (512, 16, 16)]
    assert UNet(3, 3, 64, 7).mask_shapes(128, 256) == [(512, 4, 8), (512, 8, 16)]
    assert UNet(3, 3, 64, 6).mask_shapes(64, 64) == [(512, 4, 4)]
    assert UNet(3, 3, 64, 8, rate=0.0).mask_shapes(256, 256) == []
    # Each mask has the shape of what it is multiplied with, and takes away all that it is 0 for.
    torch.manual_seed(0)
    network = UNet(3, 1, 2, 7).eval()
    x = torch.randn(2, 3, 128, 128)
    masks = [torch.zeros(1, *shape) for shape in network.mask_shapes(128, 128)]
    without = network(x, masks)
    with torch.no_grad():
        for layer in network.up[5:]:  # all that is below the last mask
            for p in layer.parameters():
                p.zero_()
    assert torch.equal(network(x, masks), without)
    assert not torch.equal(network(x), without)


def test_any_multiple_is_taken_and_values_are_in_range():
    network = UNet(1, 3, 2, 4)
    y = network(3 * torch.randn(2, 1, 32, 48))
    assert y.shape == (2, 3, 32, 48) and y.abs().max() <= 1


def test_a_map_of_one_pixel_is_not_normalised():
    network = UNet(3, 3, 2, 4)
    x = torch.randn(1, 3, 16, 16)
    network(x).sum().backward()
    innermost = network.down[-1][1].weight
    assert innermost.grad is not None and innermost.grad.abs().max() > 0
    assert not any(isinstance(m, nn.BatchNorm2d | nn.InstanceNorm2d) for m in (*network.down[0], *network.down[-1]))
    network.down[-1].append(LoneBatchNorm2d(16))
    with pytest.raises(ValueError, match="more than 1"):  # the bug: there is nothing to normalise
        network(x)


def test_no_activation_before_the_first_convolution_and_bias_only_without_batch_normalisation():
    for norm, bias in (("batch", False), ("instance", True), ("none", True)):
        network = UNet(3, 3, 2, 4, norm)
        assert isinstance(network.down[0][0], nn.Conv2d)
        inner = [
            m
            for part in (*network.down, *network.up[1:])
            for m in part
            if hasattr(m, "weight") and m.weight is not None
        ]
        assert all((m.bias is not None) == bias for m in inner if isinstance(m, nn.Conv2d | nn.ConvTranspose2d))
        assert network.up[0][1].bias is not None


def test_once_trained_each_image_is_a_batch_of_one():
    torch.manual_seed(0)
    norm = LoneBatchNorm2d(3).double()
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    x = 5 + 3 * torch.randn(4, 3, 5, 7, dtype=torch.float64)
    alone = torch.cat([norm.train()(row[None]) for row in x])
    assert torch.allclose(norm.eval()(x), alone, atol=1e-12)
    # Plain batch normalisation without statistics couples the images, which this would show.
    plain = nn.BatchNorm2d(3, track_running_stats=False).double().eval()
    assert not torch.allclose(plain(x)[:1], plain(x[:1]), atol=1e-3)
    assert not list(norm.buffers())


def test_running_statistics_on_request():
    norm = LoneBatchNorm2d(3, running=True)
    norm.train()(5 + torch.randn(8, 3, 4, 4))
    usual = nn.BatchNorm2d(3)
    usual.load_state_dict(norm.state_dict())
    x = torch.randn(2, 3, 4, 4)
    assert torch.equal(norm.eval()(x), usual.eval()(x))


@pytest.mark.parametrize("downs", [2, 3])
def test_a_block_sees_its_reach_and_no_farther(downs):
    torch.manual_seed(0)
    network = UNet(1, 1, 2, downs, "none").double()
    block, blocks = 1 << downs, 9
    x = torch.randn(1, 1, blocks * block, block * blocks, dtype=torch.float64, requires_grad=True)
    at = slice(4 * block, 5 * block)
    network(x)[..., at, at].sum().backward()
    seen = x.grad[0, 0].abs().sum(1).nonzero()
    first, last = int(seen.min()), int(seen.max())
    assert 4 * block - first <= reach(downs) and last - (5 * block - 1) <= reach(downs)
    # One block, and all but one pixel of the second: a smaller multiple would be wrong.
    assert 4 * block - first == last - (5 * block - 1) == reach(downs) - 1


def test_fixed_masks_are_a_function_of_seed_and_place():
    network = UNet(3, 3, 4, 6)
    x = torch.randn(3, 3, 128, 192)
    torch.manual_seed(3)
    before = torch.get_rng_state()
    (mask,) = network.fixed_masks(x, 0)
    assert torch.equal(torch.get_rng_state(), before)
    assert mask.shape == (1, 32, 8, 12) and set(mask.unique().tolist()) == {0.0, 2.0}
    assert torch.equal(network.fixed_masks(x[:1], 0)[0], mask)
    assert (network.fixed_masks(x, 1)[0] != mask).float().mean() > 0.3
    # A tile that begins at a multiple of 64 pixels has the masks of its place in the image.
    (tile,) = network.fixed_masks(x[..., 64:, 64:], 0)
    assert torch.equal(tile, mask[..., 4:, 4:])


def test_scattered_numbers_look_random():
    values = scattered(5, 1, 64, 64, 64, 64, CPU)
    assert values.min() >= 0 and values.max() < PRIME
    u = values.double() / PRIME
    assert u.mean().item() == pytest.approx(0.5, abs=0.003) and u.var().item() == pytest.approx(1 / 12, rel=0.01)
    others = [scattered(6, 1, 64, 64, 64, 64, CPU), scattered(5, 2, 64, 64, 64, 64, CPU)]
    pairs = [(u[1:], u[:-1]), (u[:, 1:], u[:, :-1]), (u[..., 1:], u[..., :-1])]
    pairs += [(u, other.double() / PRIME) for other in others]
    for a, b in pairs:
        assert abs(torch.corrcoef(torch.stack((a.flatten(), b.flatten())))[0, 1].item()) < 0.01
    assert len(values.unique()) > 0.999 * values.numel()
