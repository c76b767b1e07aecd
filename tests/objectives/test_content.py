import numpy as np
import pytest
import torch
from scipy.ndimage import convolve

from gantools import _native
from gantools.objectives.content import (
    DIFFERENCES,
    l1,
    l2,
    luma,
    luma_correlation,
    perceptual,
    sharpened,
    total_variation,
)


def test_differences_by_hand():
    x, y = torch.tensor([[[[1.0, -1.0]]]]), torch.tensor([[[[0.0, 2.0]]]])
    assert l1(x, y).item() == 2
    assert l2(x, y).item() == 5
    assert DIFFERENCES["charbonnier"](x, x).item() == pytest.approx(1e-3)
    assert DIFFERENCES["charbonnier"](x, y).item() == pytest.approx(2, abs=1e-6)


def test_total_variation_by_hand():
    x = torch.tensor([[[[0.0, 1.0, 3.0], [0.0, 1.0, 3.0]]]])
    assert total_variation(x).item() == pytest.approx(1.5)  # steps of 1 and 2 along rows, none along columns
    assert total_variation(x.mT).item() == pytest.approx(1.5)
    assert total_variation(torch.ones(2, 3, 4, 4)).item() == 0


def test_luma_is_weighted_and_of_grey_the_value():
    assert luma(torch.ones(1, 3, 2, 2)).flatten().tolist() == pytest.approx([1.0] * 4)
    green = torch.zeros(1, 3, 1, 1)
    green[:, 1] = 1
    assert luma(green).item() == pytest.approx(0.587)
    assert luma(torch.full((1, 1, 1, 1), 0.3)).item() == pytest.approx(0.3)


def test_luma_correlation_knows_the_inverted_image():
    torch.manual_seed(0)
    x = torch.rand(4, 3, 16, 16) * 2 - 1
    assert luma_correlation(x, x).item() == pytest.approx(1, abs=1e-3)
    assert luma_correlation(x, 0.3 * x + 0.2).item() == pytest.approx(1, abs=1e-3)
    assert luma_correlation(x, -x).item() == pytest.approx(-1, abs=1e-3)
    assert luma_correlation(x, torch.zeros_like(x)).item() == 0
    half = torch.cat([x[:2], -x[2:]])
    assert luma_correlation(x, half).item() == pytest.approx(0, abs=1e-3)  # a mean over rows, not over all pixels


def test_perceptual_is_the_weighted_sum_over_layers_and_takes_no_gradient_of_the_target():
    def features(x):
        return {"a": x, "b": 2 * x, "c": 100 * x}

    x = torch.ones(1, 1, 2, 2, requires_grad=True)
    y = torch.zeros(1, 1, 2, 2, requires_grad=True)
    value = perceptual(features, {"a": 1.0, "b": 0.5}, x, y, l2)
    assert value.item() == pytest.approx(1 + 0.5 * 4)
    gradient, none = torch.autograd.grad(value, [x, y], allow_unused=True)
    assert none is None
    assert gradient.flatten().tolist() == pytest.approx([(2 + 0.5 * 8) / 4] * 4)


def sharpened_by_hand(x, *, masked=True, soft=True):
    """float64 (h, w) in [0, 1], by the definition."""
    at = np.arange(51) - 25
    line = np.exp(-0.5 * (at / 8.0) ** 2)
    kernel = np.outer(line, line) / line.sum() ** 2
    residual = x - convolve(x, kernel, mode="mirror")
    mask = (np.abs(residual) * 255 > 10).astype(float)
    mask = convolve(mask, kernel, mode="mirror") if soft else mask
    sharp = np.clip(x + 0.5 * residual, 0, 1)
    return mask * sharp + (1 - mask) * x if masked else sharp


@pytest.mark.parametrize("shape", [(48, 37), (80, 5), (1, 60)])
def test_sharpening_is_its_definition(shape):
    y, x = np.mgrid[: shape[0], : shape[1]]
    images = np.stack([0.5 + 0.2 * np.sin(0.3 * (k + 1) * x + 0.2 * y) + 0.2 * ((x + y) % 30 > 15) for k in range(3)])
    images = images.clip(0, 1)
    found = sharpened(torch.from_numpy(images)[None] * 2 - 1)[0].double().add(1).div(2).numpy()
    for c in range(3):
        np.testing.assert_allclose(found[c], sharpened_by_hand(images[c]), atol=1e-5)
    if min(shape) > 30:
        for bug in ({"masked": False}, {"soft": False}):
            assert np.abs(found[0] - sharpened_by_hand(images[0], **bug)).max() > 1e-3
    # The same as what inputs are made of.
    levels = np.ascontiguousarray((images * 255).round().astype(np.uint8).transpose(1, 2, 0))[None]
    steps = np.array([[[_native.DEGRADE_STEPS.index("sharpen"), 0.5, 10.0, 0, 0, 0, 0]]], float)
    ours = np.empty(levels.shape, np.float32)
    _native.degrade_float(levels, steps, np.zeros(1, np.uint64), ours)
    theirs = sharpened(torch.from_numpy(levels).permute(0, 3, 1, 2) / 127.5 - 1).permute(0, 2, 3, 1).add(1).mul(127.5)
    np.testing.assert_allclose(ours, theirs.numpy(), atol=0.02)


def test_a_plane_is_as_sharp_as_it_can_be():
    plane = torch.full((1, 1, 20, 20), 0.3)
    torch.testing.assert_close(sharpened(plane), plane)
