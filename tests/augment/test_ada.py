import math

import pytest
import torch

from gantools.augment.ada import NORMALS, SYM6, UNIFORMS, Ada, blitted, coloured, moved, scaled, turned, warped

# What is applied, by the column of its number: flip, quarter turn, whole pixels, scale, turn before, stretch, turn
# after, move, brightness, contrast, luma, hue, saturation.
FLIP, QUARTER, WHOLE, SCALE, BEFORE, STRETCH, AFTER, MOVE, BRIGHT, CONTRAST, LUMA, HUE, SATURATION = range(13)


def numbers(n, *applied, seed=0, **values):
    """Random numbers with which just these steps are applied at p = 1/2, with `values` by column."""
    generator = torch.Generator().manual_seed(seed)
    uniform, normal = torch.rand(n, UNIFORMS, generator=generator), torch.randn(n, NORMALS, generator=generator)
    uniform[:, :13] = 0.9
    uniform[:, list(applied)] = 0.1
    for column, value in values.items():
        (uniform if column[0] == "u" else normal)[:, int(column[1:])] = value
    return uniform, normal


def ada(p=0.5):
    module = Ada()
    module.p.fill_(p)
    return module


@pytest.fixture
def x():
    return torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.mark.parametrize("channels", [1, 3])
def test_nothing_is_changed_at_strength_0_not_even_a_bit(x, channels):
    x = x[:, :channels]
    for seed in range(5):
        torch.manual_seed(seed)
        assert torch.equal(ada(0.0)(x, torch.rand(3, UNIFORMS), torch.randn(3, NORMALS)), x)
    assert not torch.equal(ada(1.0)(x, torch.rand(3, UNIFORMS), torch.randn(3, NORMALS)), x)


def test_flips_quarters_and_whole_pixels_are_copies_of_pixels(x):
    assert torch.equal(ada()(x, *numbers(3, FLIP, u13=0.7)), x.flip(3))
    assert torch.equal(ada()(x, *numbers(3, FLIP, u13=0.3)), x)
    for quarters in range(4):
        y = ada()(x, *numbers(3, QUARTER, u14=(quarters + 0.5) / 4))
        assert torch.equal(y, torch.rot90(x, quarters, (2, 3)))
    # The far end of its range is two pixels of 16: to the right, upwards, mirrored at the border.
    y = ada()(x, *numbers(3, WHOLE, u15=0.9999, u16=0.0))
    assert torch.equal(y[:, :, :-2, 2:], x[:, :, 2:, :-2])
    assert torch.equal(y[:, :, :-2, :2], x[:, :, 2:, [2, 1]])


def test_the_wavelet_is_orthonormal_to_its_even_shifts():
    taps = torch.tensor(SYM6, dtype=torch.float64)
    assert taps.sum().item() == pytest.approx(math.sqrt(2), abs=1e-10)
    for shift in range(6):
        product = (taps[2 * shift :] * taps[: 12 - 2 * shift]).sum().item()
        assert product == pytest.approx(float(shift == 0), abs=1e-10)


def test_the_identity_of_a_warp_is_the_identity_and_whole_pixels_and_quarters_are_those_of_copies(x):
    one, zero = torch.ones(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
    taps, x = torch.tensor(SYM6, dtype=torch.float64), x.double()
    torch.testing.assert_close(warped(x, scaled(one, one), taps), x, atol=1e-10, rtol=0)
    back = moved(2 * one, -one)
    inside = (slice(None), slice(None), slice(4, -4), slice(4, -4))
    torch.testing.assert_close(warped(x, back, taps)[inside], blitted(x, back)[inside], atol=1e-10, rtol=0)


def smooth(size, angle=0.0, by=(0.0, 0.0), scale=1.0):
    """A wave of long period, drawn where an affine map puts it: the truth for a warp of it, in plain words."""
    at = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
    y, x = torch.meshgrid(at, at, indexing="ij")
    x, y = x - by[0], y - by[1]
    x, y = math.cos(angle) * x + math.sin(angle) * y, -math.sin(angle) * x + math.cos(angle) * y
    return (torch.sin(0.3 * x / scale) * torch.cos(0.2 * y / scale + 1))[None, None]


@pytest.mark.parametrize(
    ("drawn", "applied", "values"),
    [
        ({"angle": 1.0}, BEFORE, {"u17": (1 - 1 / math.pi) / 2}),
        ({"angle": 1.0}, AFTER, {"u18": (1 - 1 / math.pi) / 2}),
        ({"by": (3.2, -1.6)}, MOVE, {"n2": 0.8, "n3": -0.4}),
        ({"scale": 2**0.2}, SCALE, {"n0": 1.0}),
    ],
)
def test_a_warp_draws_what_it_says(drawn, applied, values):
    uniform, normal = numbers(1, applied, **values)
    y = ada()(smooth(32), uniform, normal)
    inside = (slice(None), slice(None), slice(9, -9), slice(9, -9))
    assert (y - smooth(32, **drawn))[inside].abs().max() < 0.06  # the filter is not symmetric: up to a sixth of a pixel
    assert (y - smooth(32))[inside].abs().max() > 0.15


def test_colours_are_those_of_the_formulas(x):
    grey = x.mean(1, keepdim=True)

    def of(*applied, **values):
        return coloured(x, *numbers(3, *applied, **values), torch.tensor(0.5))

    torch.testing.assert_close(of(BRIGHT, n4=1.5), x + 0.3)
    torch.testing.assert_close(of(CONTRAST, n5=2.0), 2 * x)
    torch.testing.assert_close(of(LUMA, u19=0.7), x - 2 * grey)
    assert torch.equal(of(LUMA, u19=0.3), x)
    torch.testing.assert_close(of(SATURATION, n6=1.0), grey + 2 * (x - grey))
    # A third of a turn about the axis of greys takes red to green to blue.
    torch.testing.assert_close(of(HUE, u20=(1 + 2 / 3) / 2), x.roll(1, 1), atol=1e-6, rtol=0)
    grey_image = x[:, :1]
    uniform, normal = numbers(3, LUMA, HUE, SATURATION)
    assert torch.equal(coloured(grey_image, uniform, normal, torch.tensor(0.5)), grey_image)


@pytest.mark.parametrize("p", [0.2, 0.8])
def test_each_step_is_applied_as_often_as_the_strength_says(p):
    n = 4000
    torch.manual_seed(0)
    uniform, normal = torch.rand(n, UNIFORMS), torch.randn(n, NORMALS)
    # One step after the other: all others are kept from being applied.
    x = torch.rand(1, 3, 8, 8).expand(n, 3, 8, 8)
    expected = {
        FLIP: p / 2,  # half of the flips and a quarter of the turns are none
        QUARTER: p * 3 / 4,
        SCALE: p,
        BEFORE: 1 - math.sqrt(1 - p),
        STRETCH: p,
        AFTER: 1 - math.sqrt(1 - p),
        MOVE: p,
        BRIGHT: p,
        CONTRAST: p,
        LUMA: p / 2,
        HUE: p,
        SATURATION: p,
    }
    for column, rate in expected.items():
        alone = uniform.clone()
        alone[:, [i for i in range(13) if i != column]] = 1.0
        changed = (ada(p)(x, alone, normal) != x).flatten(1).any(1)
        assert changed.float().mean().item() == pytest.approx(rate, abs=0.03), column


@pytest.mark.parametrize("channels", [1, 3])
def test_it_is_twice_differentiable(channels):
    torch.manual_seed(0)
    x = torch.rand(1, channels, 8, 8, dtype=torch.float64, requires_grad=True)
    module = ada(1.0).double()
    uniform, normal = torch.rand(1, UNIFORMS, dtype=torch.float64), torch.randn(1, NORMALS, dtype=torch.float64)

    def bent(x):  # what is linear has no second derivative to check
        return module(x.sin(), uniform, normal).square().sum()

    assert torch.autograd.gradcheck(bent, x)
    assert torch.autograd.gradgradcheck(bent, x)


def test_the_gradient_goes_back_to_the_pixel_that_was_copied(x):
    x = x.requires_grad_(True)
    y = ada()(x, *numbers(3, FLIP, u13=0.7))
    (found,) = torch.autograd.grad(y[:, :, 0, 0].sum(), x)
    expected = torch.zeros_like(x)
    expected[:, :, 0, -1] = 1
    assert torch.equal(found, expected)


def test_the_strength_goes_up_while_real_images_are_told_too_well_and_down_else():
    module = Ada()
    for step in range(8):
        assert module.p.item() == pytest.approx([0, 0, 0, 0, 0.1, 0.1, 0.1, 0.1][step])
        module.adjust(torch.tensor(0.9), 25, target=0.6, kimg=1)
    assert module.p.item() == pytest.approx(0.2)
    for _ in range(12):
        module.adjust(torch.tensor(0.3), 25, target=0.6, kimg=1)
    assert module.p.item() == 0.0  # never below
    for _ in range(100):
        module.adjust(torch.tensor(1.0), 25, target=0.6, kimg=1)
    assert module.p.item() == 1.0


def test_it_is_the_mean_of_four_batches_that_decides():
    module = Ada()
    for sign in (1.0, 1.0, 1.0, -0.9):  # the mean is 0.525
        module.adjust(torch.tensor(sign), 25, target=0.6, kimg=1)
    assert module.p.item() == 0.0
    for sign in (1.0, 1.0, 1.0, -0.5):  # 0.625
        module.adjust(torch.tensor(sign), 25, target=0.6, kimg=1)
    assert module.p.item() == pytest.approx(0.1)


def test_its_memory_is_in_the_checkpoint_and_its_filter_is_not():
    assert set(Ada().state_dict()) == {"p", "signs", "rows", "steps"}
    assert not list(Ada().parameters())


def test_the_affine_maps_are_composed_from_the_right():
    t = torch.tensor([0.7], dtype=torch.float64)
    rotate, move = turned(t.cos(), t.sin()), moved(t, 2 * t)
    x, y = rotate.after(move).at(torch.tensor([1.0]).double(), torch.tensor([2.0]).double())
    a, b = 1 + 0.7, 2 + 1.4
    assert x.item() == pytest.approx(math.cos(0.7) * a - math.sin(0.7) * b)
    assert y.item() == pytest.approx(math.sin(0.7) * a + math.cos(0.7) * b)
