import pytest
import torch

from gantools.objectives.content import (
    DIFFERENCES,
    l1,
    l2,
    luma,
    luma_correlation,
    perceptual,
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
