import pytest
import torch
from tests.models.by_hand import count

from gantools.layers.super_resolution import ENLARGERS, Judge, MSRResNet, SRResNet, subpixel_init


@pytest.mark.parametrize(
    ("network", "weights"),
    [
        (lambda: SRResNet(3, 4), 1_547_350),
        (lambda: MSRResNet(3, 4), 1_517_571),
        (lambda: MSRResNet(3, 2), 1_369_859),
        (lambda: MSRResNet(3, 3), 1_554_499),
        (lambda: Judge(3, 96), 23_563_649),
    ],
)
def test_weights_of_the_published_networks(network, weights):
    assert count(network()) == weights


@pytest.mark.parametrize("kind", ENLARGERS)
@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_sides_grow_by_the_scale(kind, scale):
    network = ENLARGERS[kind](3, scale, 4, 1)
    assert network(torch.zeros(2, 3, 5, 7)).shape == (2, 3, 5 * scale, 7 * scale)


@pytest.mark.parametrize("factor", [2, 3])
def test_a_shuffle_begins_without_a_checkerboard(factor):
    torch.manual_seed(0)
    conv = torch.nn.Conv2d(4, 5 * factor**2, 3, 1, 1)

    def spread() -> float:
        y = torch.pixel_shuffle(conv(torch.randn(1, 4, 6, 6)), factor)
        blocks = y.unfold(2, factor, factor).unfold(3, factor, factor).flatten(4)
        return float((blocks.amax(4) - blocks.amin(4)).max().detach())

    assert spread() > 0.1  # torch's own initialisation has one
    subpixel_init(conv, factor)
    assert spread() == 0


def test_msrresnet_begins_near_bilinear_interpolation():
    torch.manual_seed(0)
    x = torch.rand(1, 3, 12, 12) * 2 - 1
    bilinear = torch.nn.functional.interpolate(x, scale_factor=4, mode="bilinear")
    assert (MSRResNet(3, 4, 16, 2)(x) - bilinear).abs().max() < 0.05


def test_the_judge_gives_one_logit_an_image():
    assert Judge(3, 32, 4, 8)(torch.randn(3, 3, 32, 32)).shape == (3,)
