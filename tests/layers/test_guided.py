import pytest
import torch
from torch import Tensor

from gantools.layers.guided import Fuse, box_mean, dilated, guided_filter


def some(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_box_means_are_over_the_pixels_that_there_are():
    x = some(1, 1, 7, 9)
    y = box_mean(x, 2)
    for i, j in ((0, 0), (3, 4), (6, 8), (1, 7)):
        part = x[0, 0, max(0, i - 2) : i + 3, max(0, j - 2) : j + 3]
        assert y[0, 0, i, j].item() == pytest.approx(part.mean().item())
    # Counting what is beyond the border as 0 would darken it.
    padded = torch.nn.functional.avg_pool2d(x, 5, 1, 2)
    assert (padded[0, 0, 0, 0] - y[0, 0, 0, 0]).abs() > 0.1


def test_an_image_guided_by_itself_is_itself_as_eps_goes_to_0():
    x = some(2, 3, 16, 12)
    assert (guided_filter(x, x, 4, 1e-12) - x).abs().max() < 1e-9
    assert (guided_filter(x, x, 4, 0.5) - x).abs().max() > 0.05


def test_a_constant_stays_constant():
    guide, flat = some(1, 3, 16, 12), torch.full((1, 3, 16, 12), 0.3, dtype=torch.float64)
    torch.testing.assert_close(guided_filter(guide, flat), flat)


def test_a_flat_guide_gives_the_mean_of_means():
    image = some(1, 1, 20, 20)
    flat = torch.zeros_like(image)
    torch.testing.assert_close(guided_filter(flat, image, 2), box_mean(box_mean(image, 2), 2))


def test_the_edge_of_the_guide_is_kept_and_the_tone_is_the_images():
    guide = torch.zeros(1, 1, 24, 24, dtype=torch.float64)
    guide[..., 12:] = 1
    image = 0.2 + 0.6 * torch.nn.functional.avg_pool2d(guide, 5, 1, 2, count_include_pad=False)  # soft, and paler
    made = guided_filter(guide, image, 4, 1e-4)
    assert (made[..., 12] - made[..., 11]).min() > 0.3 > 1.5 * (image[..., 12] - image[..., 11]).max()
    assert made.min() > 0.1 and made.max() < 0.9


def test_gradients():
    guide, image = some(1, 1, 6, 5).requires_grad_(True), some(1, 1, 6, 5, seed=1).requires_grad_(True)
    torch.autograd.gradcheck(lambda i, p: guided_filter(i, p, 2, 0.01), (guide, image))


def test_a_mask_grows_along_rows_and_columns():
    mask = torch.zeros(1, 1, 9, 9)
    mask[..., 4, 4] = 0.5
    grown = dilated(mask, 2)
    assert (grown[..., 2:7, 2:7] == 0.5).all() and grown.sum().item() == pytest.approx(12.5)
    assert torch.equal(dilated(mask, 0), mask)


def test_pixels_outside_the_mask_keep_their_bits():
    composed = some(1, 3, 20, 20).float() * 2 - 1
    alpha = torch.zeros(1, 1, 20, 20)
    alpha[..., 8:12, 8:12] = 0.7
    fuse = Fuse(4, 0.01, 3)
    for guided in (True, False):
        made = fuse(composed, alpha, -composed, guided=guided)
        free = (dilated(alpha, 3) == 0).expand_as(composed)
        assert torch.equal(made[free], composed[free])
        assert (made[~free] != composed[~free]).float().mean() > 0.9
    assert torch.equal(fuse(composed, alpha, -composed, strength=0.0), composed)


def test_eps_is_for_values_in_0_to_1():
    guide, image = some(1, 1, 16, 16), some(1, 1, 16, 16, seed=1)
    made = Fuse(4, 0.01, 0)(2 * guide - 1, torch.ones_like(guide), 2 * image - 1)
    torch.testing.assert_close((made + 1) / 2, guided_filter(guide, image, 4, 0.01))
    assert ((guided_filter(2 * guide - 1, 2 * image - 1, 4, 0.01) + 1) / 2 - (made + 1) / 2).abs().max() > 1e-3
