import pytest
import torch
from tests.models.by_hand import count

from gantools.layers.patch import PatchDiscriminator, PixelDiscriminator, receptive_field


@pytest.mark.parametrize(("channels", "norm", "weights"), [(6, "batch", 2_768_705), (3, "instance", 2_764_737)])
def test_weights_of_the_published_discriminators(channels, norm, weights):
    assert count(PatchDiscriminator(channels, norm=norm)) == weights


def test_weights_of_the_pixel_discriminator():
    assert count(PixelDiscriminator(6, norm="batch")) == 9024
    assert PixelDiscriminator(3)(torch.zeros(2, 3, 8, 8)).shape == (2, 8, 8)


def test_256_pixels_give_30_by_30_outputs():
    assert PatchDiscriminator(3, 8)(torch.zeros(2, 3, 256, 256)).shape == (2, 30, 30)


@pytest.mark.parametrize(("halvings", "side"), [(1, 16), (2, 34), (3, 70)])
def test_an_output_sees_exactly_its_receptive_field(halvings, side):
    assert receptive_field(halvings) == side
    torch.manual_seed(0)
    network = PatchDiscriminator(1, 4, halvings, norm="none")
    x = torch.randn(1, 1, 2 * side + 20, 2 * side + 20, requires_grad=True)
    out = network(x)
    middle = out.shape[1] // 2
    (gradient,) = torch.autograd.grad(out[0, middle, middle], x)
    rows = gradient[0, 0].abs().sum(1).nonzero()
    assert int(rows.max() - rows.min()) + 1 == side
