import numpy as np
import pytest
import torch

from gantools.editing import distances
from gantools.editing.distances import find_distance, pixel_distance
from gantools.errors import ConfigError


def test_pixels_by_hand():
    x, y = torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 8, 8)
    y[0, 0, ::2] = 1  # every second row: half of the pixels at the first scale, all of them by half at the second
    assert pixel_distance(x, y).item() == pytest.approx((0.5 + 0.25) / 2)
    y[0, 0, 1::2] = -1  # stripes that cancel out
    assert pixel_distance(x, y).item() == pytest.approx(1 / 2)
    # A side of 7 is not halved.
    assert pixel_distance(x[..., :7, :7], y[..., :7, :7]).item() == pytest.approx(1)


def test_only_coarse_scales_see_that_a_shape_is_near_where_it_should_be():
    def shape(at):
        image = torch.zeros(1, 1, 32, 32)
        image[..., 12:16, at : at + 4] = 1
        return image

    near, far, target = shape(4), shape(20), shape(0)
    assert (near - target).square().mean() == (far - target).square().mean()
    assert pixel_distance(near, target) < pixel_distance(far, target)


def test_names():
    with pytest.raises(ConfigError, match=r"unknown loss 'pixel'. Did you mean 'pixels'"):
        find_distance("pixel", (8, 8, 3), torch.device("cpu"))


def test_lpips_has_gradients_and_its_own_smallest_side(monkeypatch):
    class Small:
        side, protocol = 16, {"net": "vgg"}

        def __init__(self, net, device):
            assert net == "vgg"

        def compare(self, x, y):
            assert x.shape[1] == 3 and max(x.shape[2:]) <= 256
            return (x - y).abs().mean((1, 2, 3))

    monkeypatch.setattr(distances, "Lpips", Small)
    with pytest.raises(ConfigError, match="at least 16 pixels, this run makes 8x8"):
        find_distance("lpips", (8, 8, 3), torch.device("cpu"))
    found = find_distance("lpips", (512, 512, 1), torch.device("cpu"))
    x = torch.zeros(2, 1, 512, 512, requires_grad=True)
    value = found.of(x, torch.ones(2, 1, 512, 512))
    value.sum().backward()
    assert value.tolist() == [1, 1] and x.grad.abs().sum() > 0 and found.protocol == {"net": "vgg"}


def test_lpips_itself_has_gradients(tmp_path):
    """With made up weights: only that the way back is open, and the way without gradients the same."""
    from gantools.metrics.pixels.lpips import _ARCHITECTURES, Lpips

    torch.manual_seed(0)
    kind = _ARCHITECTURES["vgg"]
    torch.save({f"features.{k}": v for k, v in kind.features().state_dict().items()}, tmp_path / "vgg.pth")
    linear = {f"lin{i}.model.1.weight": torch.rand(1, width, 1, 1) for i, width in enumerate(kind.widths)}
    torch.save(linear, tmp_path / "linear.pth")
    network = Lpips("vgg", backbone=tmp_path / "vgg.pth", linear=tmp_path / "linear.pth", device="cpu")
    x = torch.rand(1, 3, 16, 16, requires_grad=True)
    value = network.compare(x, torch.zeros(1, 3, 16, 16))
    value.sum().backward()
    assert value.item() > 0 and x.grad.abs().sum() > 0
    without = network.distance(x, torch.zeros(1, 3, 16, 16))
    assert not without.requires_grad
    np.testing.assert_allclose(without.item(), value.item(), rtol=1e-6)
